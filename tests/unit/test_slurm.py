"""A Slurm job is stopped by Slurm's own signals like by Ctrl-C, and Slurm is asked once a minute for all jobs."""

from __future__ import annotations

import os
import signal
import time

import pytest

from layeratlas.sweeps import worker
from layeratlas.sweeps.engines import slurm
from layeratlas.sweeps.engines.processes import worker_environment


class Job:
    """A job that counts how often Slurm is asked for it."""

    asked = 0

    def done(self, force_check: bool = False) -> bool:
        Job.asked += force_check
        return False


def test_slurm_is_asked_once_a_minute_for_all_jobs(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(slurm.time, "monotonic", lambda: now)
    asking = slurm.Asking()
    workers = [slurm.SlurmWorker(Job(), asking) for _ in range(16)]
    for _ in range(20 * 60):  # ten minutes
        assert all(each.is_running() for each in workers)
        now += 0.5
    assert Job.asked == 10


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
