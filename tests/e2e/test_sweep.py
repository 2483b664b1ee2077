"""A sweep on real runs: workers that are killed change no number, and a second call does nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import polars as pl
import psutil
import pytest
from polars.testing import assert_frame_equal

import layeratlas as la
from commands import stamps
from layeratlas.core.errors import SpecError
from layeratlas.runs import lock
from layeratlas.runs.place import FolderPlace
from layeratlas.sweeps import worker
from layeratlas.sweeps.engines.contract import find_engine
from layeratlas.sweeps.engines.processes import Processes, ProcessWorker
from layeratlas.sweeps.plan import write_plan
from layeratlas.sweeps.reading import read_sweep
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.state import Standing, run_folder, state_of
from layeratlas.sweeps.units import units_of

ONE_THREAD = Resources(workers=1, threads=1)


@pytest.fixture(scope="session")
def serial(plan, tmp_path_factory):
    """The sweep as one worker runs it."""
    sweep = la.sweep(plan, out=tmp_path_factory.mktemp("serial"), resources=ONE_THREAD)
    assert sweep.failed == {}
    assert len(sweep.runs) == 4
    return sweep


@pytest.fixture(scope="session")
def pair(plan):
    """The sweep's two runs of its first model."""
    path = plan.with_name("pair.toml")
    path.write_text(re.sub(r'^models = \["(.*?)", .*$', r'models = ["\1"]', plan.read_text(), flags=re.M))
    return path


def same_tables(sweep: la.Sweep, expected: la.Sweep) -> None:
    names = [unit.name for unit in sweep.units]
    assert set(names) <= {unit.name for unit in expected.units}
    for name in names:
        same_run(sweep.folder / "runs" / name, expected.folder / "runs" / name)


def same_run(*folders: Path) -> None:
    tables = [sorted(path.relative_to(folder) for path in folder.glob("*.parquet")) for folder in folders]
    assert tables[0] == tables[1] != []
    for table in tables[0]:
        assert_frame_equal(*(pl.read_parquet(folder / table) for folder in folders), check_exact=True)


def workers_of(out: Path) -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    workers = []
    for child in children:
        try:
            line = child.cmdline()
        except psutil.Error:
            continue
        if "layeratlas.sweeps.worker" in line and str(out) in line:
            workers.append(child)
    return workers


def kill_one(out: Path, sign: str, killed: list[str]) -> None:
    """Kill the worker of the first unit whose run folder holds a file like `sign`."""
    end = time.monotonic() + 300
    while time.monotonic() < end and not killed:
        for path in (out / "runs").glob(f"*/{sign}"):
            lock = path.relative_to(out / "runs").parts[0]
            holder = [p for p in workers_of(out) if str(p.pid) in _text(out / "units" / lock / "run.lock")]
            if holder:
                os.kill(holder[0].pid, signal.SIGKILL)
                killed.append(lock)
                return
        time.sleep(0.002)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    "sign", ["activations/*.safetensors", pytest.param("scores", marks=pytest.mark.truth)], ids=["capture", "probe"]
)
def test_a_killed_worker_changes_no_number(pair, serial, tmp_path, sign):
    out, killed = tmp_path / "out", []
    watch = threading.Thread(target=kill_one, args=(out, sign, killed))
    watch.start()
    sweep = la.sweep(pair, out=out, resources=Resources(workers=2, threads=1))
    watch.join()
    assert killed, "no worker was killed"
    assert len(sweep.units) == 2
    assert sweep.states[killed[0]].attempts == 2
    same_tables(sweep, serial)
    assert not list(out.rglob("*.part"))


def test_a_second_call_changes_no_run_and_the_pages_link_to_all(plan, serial):
    before = stamps(serial.folder / "runs")
    sweep = la.sweep(plan, out=serial.folder, resources=ONE_THREAD)
    assert stamps(serial.folder / "runs") == before
    page = sweep.index_path.read_text()
    for unit in sweep.units:
        assert f'href="runs/{unit.name}/report.html"' in page
    pages = list((sweep.folder / "comparisons").glob("*/comparison.html"))
    assert len(pages) == 2
    assert all(f'href="{path.relative_to(sweep.folder)}"' in page for path in pages)
    claims = pl.read_parquet(sweep.folder / "claims.parquet")
    assert claims.height == claims["claim"].n_unique() > 5


@pytest.mark.truth
def test_runs_of_one_sweep_that_read_the_same_texts_capture_them_once(plan, tmp_path):
    """Two seeds differ in folds and shuffles alone: the second run links the vectors of the first."""
    text = re.sub(r'^models = \["(.*?)", .*$', r'models = ["\1"]\nseeds = [0, 1]', plan.read_text(), flags=re.M)
    both, alone = tmp_path / "both.toml", tmp_path / "alone.toml"
    both.write_text(
        text.replace('studies = ["hierarchy", "exits"]', 'studies = ["hierarchy"]').split(
            '\n[[variants]]\nname = "asked"'
        )[0]
    )
    alone.write_text(both.read_text().replace("seeds = [0, 1]", "seeds = [1]"))
    shared, own = (la.sweep(path, out=tmp_path / path.stem, resources=ONE_THREAD) for path in (both, alone))
    assert shared.failed == own.failed == {}
    files = [set(_inodes(run.folder)) for run in shared.runs.values()]
    assert len(files) == 2
    assert files[0] == files[1] != set()
    (alone_run,), (second,) = own.runs.values(), (run for name, run in shared.runs.items() if "seed1" in name)
    same_run(alone_run.folder, second.folder)
    assert not files[0] & {inode for run in own.runs.values() for inode in _inodes(run.folder)}  # another sweep


def _inodes(run: Path) -> list[int]:
    return [path.stat().st_ino for path in run.glob("activations/*.safetensors")]


# A worker that notes every stage that it has computed.
_NOTING = """
import os
from layeratlas.runs.workspace import Workspace
from layeratlas.sweeps import worker

finish = Workspace.finish

def noted(work, stage, outputs):
    finish(work, stage, outputs)
    note = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(note, f"{work.folder.name} {stage}\\n".encode())
    os.close(note)

Workspace.finish = noted
worker.main()
"""


class Noting(Processes):
    """Starts such workers as processes."""

    def start(self, launch, slot):
        log = (launch.out / f"{threading.get_ident()}-{slot}.log").open("ab")
        command = [sys.executable, "-c", _NOTING, launch.address, launch.plan, str(os.getpid())]
        return ProcessWorker(subprocess.Popen(command, stdout=log, stderr=log), log)


@pytest.mark.parametrize("size", ["pair", pytest.param("plan", marks=pytest.mark.truth)])
def test_two_sweeps_at_once_compute_each_unit_once(request, serial, tmp_path, monkeypatch, size):
    plan, notes = request.getfixturevalue(size), tmp_path / "notes"
    monkeypatch.setenv("NOTES", str(notes))
    given = {"out": tmp_path / "out", "resources": ONE_THREAD, "engine": Noting()}
    threads = [threading.Thread(target=la.sweep, args=(plan,), kwargs=given) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    units = units_of(read_sweep(plan))
    sweep = la.Sweep(FolderPlace(tmp_path / "out"), units)
    # A unit of the user's own files is looked at once more by a second sweep, which finds it complete.
    expected = {f"{name} {stage}" for name, run in sweep.runs.items() for stage in run.manifest["stages"]}
    assert Counter(notes.read_text().splitlines()) == Counter(expected)
    assert len(sweep.runs) == len(units)
    same_tables(sweep, serial)


# A worker whose lease is stale after seconds.
_HASTY = """
from layeratlas.runs import lock
from layeratlas.sweeps import worker

lock.BEAT, lock.STALE = 0.2, 4.0
worker.main()
"""


@pytest.mark.truth
def test_a_worker_that_was_stopped_while_another_took_its_run_over_changes_nothing(plan, serial, tmp_path, monkeypatch):
    sweep = read_sweep(plan)
    sweep = sweep.model_copy(
        update={"models": sweep.models[:1], "studies": ("hierarchy",), "variants": sweep.variants[:1]}
    )
    (unit,), place = units_of(sweep), FolderPlace(tmp_path)
    arguments = [str(tmp_path), write_plan(place, sweep), str(os.getpid())]
    slept = subprocess.Popen([sys.executable, "-c", _HASTY, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        end = time.monotonic() + 120
        while not list((tmp_path / "runs").glob("*/activations/*.safetensors")):
            assert time.monotonic() < end
            assert slept.poll() is None
            time.sleep(0.005)
        slept.send_signal(signal.SIGSTOP)
        time.sleep(4.5)
        monkeypatch.setattr(lock, "BEAT", 0.2)
        monkeypatch.setattr(lock, "STALE", 4.0)
        worker.work(*arguments[:2])
        assert state_of(place, unit).standing is Standing.DONE
        before = stamps(tmp_path)
        slept.send_signal(signal.SIGCONT)
        assert slept.wait(120) == 0
        assert stamps(tmp_path) == before
    finally:
        slept.kill()
        slept.wait()
    same_run(run_folder(place, unit), run_folder(serial.place, unit))


def test_a_unit_that_fails_leaves_the_rest_and_the_exit_code_tells(atlas, plan, serial, tmp_path):
    text = plan.read_text().replace("models = [", f'models = ["{tmp_path / "none"}", ')
    (tmp_path / "sweep.toml").write_text(text)
    out = tmp_path / "out"
    for unit in serial.units:  # what is done already is not run again
        (out / "runs").mkdir(parents=True, exist_ok=True)
        (out / "runs" / unit.name).symlink_to(run_folder(serial.place, unit))
    done = atlas("sweep", str(tmp_path / "sweep.toml"), "--out", str(out), "--threads", "1")
    assert done.code == 4
    assert "4 done, 2 failed" in done.out
    status = atlas("sweep", str(tmp_path / "sweep.toml"), "--out", str(out), "--status").out
    assert [line.split()[0] for line in status.splitlines()] == ["state", "failed", "failed", *["done"] * 4]
    assert "none" in status


def test_a_dry_run_starts_nothing(atlas, plan, tmp_path):
    done = atlas("sweep", str(plan), "--out", str(tmp_path / "out"), "--dry-run")
    assert done.code == 0
    assert done.out.count("waiting") == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("on", "needs"), [("slurm", "submitit"), ("ray", "ray")])
def test_every_engine_gives_the_tables_of_processes(pair, serial, tmp_path, monkeypatch, on, needs):
    """Slurm's job is one of submitit's local executor, Ray's a task on this machine."""
    pytest.importorskip(needs)
    monkeypatch.setenv("LAYERATLAS_SLURM", "local")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    equal_to(serial, la.sweep(pair, out=tmp_path / "out", resources=Resources(workers=1, threads=1, on=on)))


@pytest.mark.truth
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_slurm_job_that_is_ended_leaves_its_run_to_the_next(pair, serial, tmp_path, monkeypatch, number):
    """A cancelled job gets the first signal, one near its time limit the second. Neither counts as an attempt."""
    pytest.importorskip("submitit")
    monkeypatch.setenv("LAYERATLAS_SLURM", "local")
    ended: list[str] = []

    def end_one() -> None:
        end = time.monotonic() + 300
        while time.monotonic() < end:
            for path in tmp_path.glob("out/runs/*/activations/*.safetensors"):
                lock = json.loads(_text(tmp_path / "out" / "units" / path.parts[-3] / "run.lock") or "{}")
                if lock.get("pid"):
                    os.kill(lock["pid"], number)
                    ended.append(path.parts[-3])
                    return
            time.sleep(0.002)

    watch = threading.Thread(target=end_one)
    watch.start()
    sweep = la.sweep(pair, out=tmp_path / "out", resources=Resources(workers=1, threads=1, on="slurm"))
    watch.join()
    assert ended
    assert sweep.states[ended[0]].attempts == 1
    equal_to(serial, sweep)
    jobs = [path for path in (tmp_path / "out" / "workers").iterdir() if path.name.isdigit()]
    assert len(jobs) == 2


def test_a_sweep_in_a_bucket_gives_the_tables_of_one_in_a_folder(pair, serial, in_s3, own_cache):
    equal_to(serial, la.sweep(pair, out="s3://runs/pair", resources=ONE_THREAD))


def equal_to(serial: la.Sweep, sweep: la.Sweep) -> None:
    assert sweep.failed == {}
    assert [state.attempts for state in sweep.states.values()] == [1, 1]
    same_tables(sweep, serial)


def test_an_engine_whose_package_is_missing_is_refused_with_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(SpecError, match=r"pip install 'layeratlas\[ray\]'"):
        find_engine("ray")
    with pytest.raises(SpecError, match="one of processes, ray, slurm"):
        find_engine("kubernetes")


def test_slurm_that_is_not_there_is_refused_in_one_line(plan, tmp_path):
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("submitit is not installed")
    with pytest.raises(SpecError, match="Slurm did not take the job"):
        la.sweep(plan, out=tmp_path, resources=Resources(on="slurm", threads=1))
    assert list(tmp_path.iterdir()) == []
