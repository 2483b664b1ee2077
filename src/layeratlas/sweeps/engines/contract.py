"""The contract of engines, which start workers and report whether they still run."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from layeratlas.core.errors import SpecError, unknown_name

# The folder of the workers' output, below that of the sweep.
LOGS = "workers"
# The module of each engine, and the extra that installs what it needs.
_ENGINES = {"processes": "", "ray": "ray", "slurm": "slurm"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """The number of workers, and what each is given: cores, devices, and GB of memory (None: no limit)."""

    workers: int
    threads: int
    gpus: int = 0
    memory: float | None = None


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What an engine passes to workers: the location of the sweep, its plan, and the share of each worker.

    `address` is the sweep's folder or bucket; `out` is a folder on this machine for the workers' output.
    """

    out: Path
    address: str
    plan: str
    share: Share


def last_words(out: Path, since: float) -> str:
    """Return the last line of the worker that printed something last, or '' if none has since that time."""
    with contextlib.suppress(OSError):
        logs = [(path.stat(), path) for path in (out / LOGS).rglob("*") if path.suffix in (".log", ".err")]
        # The clock of files is coarse.
        written = {path: stat.st_mtime for stat, path in logs if stat.st_size and stat.st_mtime > since - 1}
        newest = max(written, key=lambda path: written[path], default=None)
        lines = newest.read_text(encoding="utf-8", errors="replace").split("\n") if newest else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
    return ""


class Worker(Protocol):
    """A worker that was started."""

    def is_running(self) -> bool:
        """Return whether it has not ended yet, whether by success or failure."""

    def stop(self) -> None:
        """Ask it to stop, and return at once, so that several can be stopped together."""

    def wait(self) -> None:
        """Wait until it has ended, after `stop`; one that takes too long is killed where the engine can."""


class Engine(Protocol):
    """Starts workers, on this machine or elsewhere."""

    def devices(self) -> int:
        """Return how many devices workers are given where none are asked for; 0 if that is not known here."""
        return 0

    def demand(self, share: Share) -> None:
        """Raise SpecError if workers cannot have such a share."""
        return

    def start(self, launch: Launch, slot: int) -> Worker:
        """Start a worker; raises SpecError if the engine cannot be used.

        Of workers that run at the same time each has another `slot`, a number below that of workers. One that takes the
        place of another has its slot, and thereby its devices.
        """


def find_engine(name: str) -> Engine:
    """Return an engine by name; raises SpecError if it is unknown or its dependencies are not installed."""
    if name not in _ENGINES:
        raise unknown_name("engine", name, _ENGINES)
    module = importlib.import_module(f"layeratlas.sweeps.engines.{name}")
    try:
        engine: Engine = module.make_engine()
    except ImportError as error:
        raise SpecError(
            f"the engine '{name}' needs the package '{error.name}'",
            "that package",
            f"pip install 'layeratlas[{_ENGINES[name]}]'",
        ) from None
    return engine
