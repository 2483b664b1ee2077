"""A Slurm job is stopped by Slurm's own signals like by Ctrl-C, and Slurm is asked once a minute for all jobs."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest

import layeratlas as la
from layeratlas.core.errors import SpecError
from layeratlas.sweeps import worker
from layeratlas.sweeps.engines import slurm
from layeratlas.sweeps.engines.contract import Launch, Share
from layeratlas.sweeps.engines.processes import worker_environment
from layeratlas.sweeps.resources import Resources


class Job:
    """A job that counts how often Slurm is asked for it."""

    asked = 0

    def done(self, force_check: bool = False) -> bool:
        Job.asked += force_check
        return False


def test_slurm_is_asked_once_a_minute_for_all_jobs(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(Job, "asked", 0)
    monkeypatch.setattr(slurm.time, "monotonic", lambda: now)
    asking = slurm.Asking()
    workers = [slurm.SlurmWorker(Job(), asking, slurm.Asking()) for _ in range(16)]
    for _ in range(20 * 60):  # ten minutes
        assert all(each.is_running() for each in workers)
        now += 0.5
    assert Job.asked == 10


class Ending(Job):
    """A job that ends some seconds after it was cancelled; its state is what Slurm last said."""

    def __init__(self, clock: list[float], takes: float) -> None:
        self.clock, self.takes, self.cancelled, self.known = clock, takes, -1.0, False

    def cancel(self) -> None:
        self.cancelled = self.clock[0]

    def done(self, force_check: bool = False) -> bool:
        Job.asked += force_check
        if force_check:
            self.known = self.cancelled >= 0 and self.clock[0] >= self.cancelled + self.takes
        return self.known


@pytest.mark.parametrize(("takes", "until"), [(12.0, (12.0, 18.0)), (10_000.0, (90.0, 91.0))])
def test_a_cancelled_job_is_waited_for_and_not_for_ever(monkeypatch, takes, until):
    clock = [1000.0]
    monkeypatch.setattr(slurm.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(Job, "asked", 0)
    worker = slurm.SlurmWorker(Ending(clock, takes), slurm.Asking(), slurm.Asking(5.0))
    worker.stop()
    assert clock == [1000.0]  # several are cancelled together
    worker.wait()
    assert until[0] <= clock[0] - 1000.0 <= until[1]
    assert Job.asked <= (clock[0] - 1000.0) / 5 + 1


@pytest.mark.parametrize(
    ("cluster", "share", "found"),
    [
        ("local", {"gpus": 1}, "gpus=1 with LAYERATLAS_SLURM=local"),
        ("local", {"memory": 8.0}, "memory=8.0 with LAYERATLAS_SLURM=local"),
        ("here", {}, "LAYERATLAS_SLURM is 'here'; expected 'slurm' or 'local'"),
        ("slurm", {}, "this machine has no sbatch"),
    ],
)
def test_what_jobs_cannot_have_is_refused_before_anything_starts(monkeypatch, cluster, share, found):
    monkeypatch.setenv(slurm.CLUSTER, cluster)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpecError, match=found):
        slurm.Slurm(None).demand(Share(workers=1, threads=1, **share))
    monkeypatch.setenv(slurm.CLUSTER, "local")
    slurm.Slurm(None).demand(Share(workers=1, threads=1))


@pytest.mark.parametrize(
    ("options", "found"), [("partition", "has 'partition'"), ("partition=none", "invalid partition")]
)
def test_a_job_that_slurm_rejects_leaves_nothing(tmp_path, monkeypatch, options, found):
    """`sbatch` and `srun` are stand-ins; `sbatch` refuses every job."""
    pytest.importorskip("submitit")
    for name in ("sbatch", "srun"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified' >&2\nexit 1\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(slurm.OPTIONS, options)
    with pytest.raises(SpecError, match=found):
        la.sweep({"size": "quick"}, out=tmp_path / "out", resources=Resources(on="slurm", workers=1, threads=1))
    assert not (tmp_path / "out").exists()


def test_a_job_imports_no_file_of_the_user_s(tmp_path, monkeypatch):
    """It has the environment of its submission, and would look into the present folder first."""
    submitted = []

    class Executor:
        def __init__(self, **_: Any) -> None: ...

        def update_parameters(self, **_: Any) -> None: ...

        def submit(self, *_: Any) -> None:
            submitted.append(os.environ.get("PYTHONSAFEPATH"))

    monkeypatch.setenv(slurm.CLUSTER, "local")
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    for path in (["/elsewhere"], ["", "/elsewhere"]):
        monkeypatch.setattr(sys, "path", path)
        launch = Launch(out=tmp_path, address="", plan="", share=Share(workers=1, threads=1))
        slurm.Slurm(SimpleNamespace(AutoExecutor=Executor)).start(launch, 0)
    assert submitted == ["1", None]
    assert "PYTHONSAFEPATH" not in os.environ


class UncompletedError(Exception):
    """What submitit raises in a job whose time is over."""


@pytest.fixture
def submitit_handlers(monkeypatch):
    """What submitit does with signals: it ignores one, and makes an error of the other."""

    def over(number, frame):
        raise UncompletedError

    for name in worker_environment(1):
        monkeypatch.setenv(name, "1")
    handlers = {signal.SIGTERM: lambda *_: None, signal.SIGUSR2: over}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield handlers
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])
def test_a_job_that_slurm_ends_stops_its_worker_like_ctrl_c(submitit_handlers, monkeypatch, number):
    seen: list[BaseException] = []

    def work(out: str, plan: str) -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except BaseException as error:
            seen.append(error)
            raise

    monkeypatch.setattr(worker, "work", work)
    slurm._work("out", "plan", 1)  # returns, so that submitit reports the end at once
    assert len(seen) == 1
    assert isinstance(seen[0], KeyboardInterrupt)
    assert {number: signal.getsignal(number) for number in submitit_handlers} == submitit_handlers
