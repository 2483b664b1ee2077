"""Run the command line as a user does, and look at what comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

# Offline, so that a misspelt name is not looked up; one thread, since tiny matrices gain nothing from more.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "COLUMNS": "100",
}
# A run of a few seconds on a tiny model.
SMALL = ("--task", "items", "--size", "quick")
FAST = ("--size", "quick", "--probe", "ridge", "--repeats", "1", "--shuffles", "20")


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code (minus the signal that killed it) and what it printed."""

    code: int
    out: str
    err: str


class Command:
    """A command under way."""

    def __init__(self, zygote: Zygote, pid: int, out: Path, err: Path) -> None:
        self.pid, self._zygote, self._out, self._err = pid, zygote, out, err
        self._code: int | None = None

    def running(self) -> bool:
        if self._code is None:
            self._code = self._zygote.ask(wait=self.pid, block=False)
        return self._code is None

    def send(self, number: signal.Signals) -> None:
        # The process id stays taken until the zygote has waited for it.
        if self.running():
            os.kill(self.pid, number)

    def wait(self, seconds: float = 120) -> Done:
        end = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                raise TimeoutError(f"still running after {seconds} s: {self._err.read_text()[-2000:]}")
            time.sleep(0.01)
        return Done(self._code or 0, self._out.read_text(), self._err.read_text())


class Zygote:
    """The process that forks commands."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            text=True,
            start_new_session=True,
        )

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the process that forks commands has died")
        return json.loads(answer)

    def start(
        self,
        *args: object,
        cwd: Path | None = None,
        env: dict[str, str] | None = None,
        spec: dict[str, Any] | None = None,
        terminal: str = "",
        file_limit: int = 0,
        page: bool = False,
    ) -> Command:
        """Start `layeratlas ARGS`, or, with `spec`, the Python API's run of that spec to the folder `args[0]`.

        The report is drawn with `page` only, since that takes longer than all else on a tiny model.
        """
        self._count += 1
        out, err = (self._folder / f"{self._count}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        pid = self.ask(
            args=[str(arg) for arg in args],
            cwd=str(cwd or self._folder),
            env=env or {},
            spec=spec,
            stdin=terminal or os.devnull,
            stdout=terminal or str(out),
            stderr=terminal or str(err),
            file_limit=file_limit,
            page=page,
        )
        return Command(self, pid, out, err)

    def __call__(self, *args: object, **settings: Any) -> Done:
        """Run `layeratlas ARGS` to its end."""
        return self.start(*args, **settings).wait()

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def fresh(*args: object, env: dict[str, str] | None = None, python: tuple[str, ...] = ()) -> Done:
    """Run `python -m layeratlas ARGS` as a process of its own."""
    command = [sys.executable, *python, "-m", "layeratlas", *map(str, args)]
    environment = os.environ | ENVIRONMENT | (env or {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    return Done(done.returncode, done.stdout, done.stderr)


def the_line(done: Done, code: int = 2) -> str:
    """Return the one line on stderr that a failed command ends in, having checked that it is one."""
    assert "Traceback" not in done.err, done.err
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("layeratlas: "), done.err
    assert (done.code, done.out) == (code, "")
    return lines[0]


def tables(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a finished run's curves and findings."""
    assert manifest(folder)["status"] == "complete"
    curves, findings = (pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in ("curves", "findings"))
    return curves, findings


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return found


def stamps(folder: Path, pattern: str = "*") -> dict[str, tuple[int, int]]:
    """Return when each file was last written, and its inode: a file that is rewritten changes one or both."""
    files = [path for path in sorted(folder.rglob(pattern)) if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def write_csv(path: Path, rows: list[tuple[str, ...]], header: str = "text,label,group") -> Path:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path
