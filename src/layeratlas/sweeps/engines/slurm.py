"""Workers as Slurm jobs through submitit; `LAYERATLAS_SLURM=local` runs them on this machine, without GPUs, to try it.

Slurm announces the end of a job with SIGTERM, and its time limit with the signal that submitit asks for 90 s before it.
Both stop a worker like Ctrl-C, so that its unit waits for another one.

Further options of `sbatch` are taken from `LAYERATLAS_SLURM_OPTIONS`, such as `partition=gpu,time=12:00:00`.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import time
from typing import Any

from layeratlas.core.errors import SpecError
from layeratlas.core.processes import alike_imports, stoppable
from layeratlas.sweeps.engines.contract import LOGS, Engine, Launch, Share, Worker
from layeratlas.sweeps.engines.processes import worker_environment

CLUSTER, OPTIONS = "LAYERATLAS_SLURM", "LAYERATLAS_SLURM_OPTIONS"

# Seconds between questions to Slurm, one of which covers all jobs: while they run (submitit alone asks every ten
# minutes in the end), and while they are being cancelled.
_ASK, _ASK_ENDING = 60.0, 5.0
# Seconds to wait for cancelled jobs. Slurm kills one that has not ended half a minute after it was cancelled.
_GRACE = 90.0


class Asking:
    """Tells when Slurm may be asked again."""

    def __init__(self, pause: float = _ASK) -> None:
        self._pause, self._last = pause, -math.inf

    def due(self) -> bool:
        """Return whether it may be asked now, and count that as asked."""
        now = time.monotonic()
        if now - self._last < self._pause:
            return False
        self._last = now
        return True


class SlurmWorker(Worker):
    """A job that is queued or running."""

    def __init__(self, job: Any, asking: Asking, ending: Asking) -> None:
        self._job, self._asking, self._ending = job, asking, ending

    def is_running(self) -> bool:
        """Return whether it has not ended yet; a job that was killed may count as running for a minute."""
        return not self._job.done(force_check=self._asking.due())

    def stop(self) -> None:
        """Cancel it."""
        self._job.cancel()

    def wait(self) -> None:
        """Wait until Slurm says that it has ended, for 90 s at most."""
        end = time.monotonic() + _GRACE
        while not self._job.done(force_check=self._ending.due()) and time.monotonic() < end:
            time.sleep(0.2)


class Slurm(Engine):
    """Submits one job per worker."""

    def __init__(self, submitit: Any) -> None:
        self._submitit, self._asking, self._ending = submitit, Asking(), Asking(_ASK_ENDING)

    def demand(self, share: Share) -> None:
        """Raise SpecError where jobs cannot be submitted, and for what a job on this machine cannot be given."""
        if _cluster() not in ("slurm", "local"):
            raise SpecError(f"{CLUSTER} is '{_cluster()}'", "'slurm' or 'local'")
        if _cluster() == "slurm":
            _further()
            for name in ("sbatch", "srun"):
                if shutil.which(name) is None:
                    raise _no_slurm(f"this machine has no {name}")
            return
        given = {name: value for name in ("gpus", "memory") if (value := getattr(share, name))}
        for name, value in given.items():
            found = f"workers were given {name}={value} with {CLUSTER}=local, whose jobs have no GPU and no limit"
            raise SpecError(found, "Slurm itself, or neither of the two", f"leave out --{name}")

    def start(self, launch: Launch, slot: int) -> Worker:
        """Submit a worker; raises SpecError if Slurm rejects it."""
        try:
            executor = self._submitit.AutoExecutor(folder=launch.out / LOGS / "%j", cluster=_cluster())
            executor.update_parameters(name=f"layeratlas-{slot}", **_needs(launch.share))
            with alike_imports():
                job = executor.submit(_work, launch.address, launch.plan, launch.share.threads)
        except (RuntimeError, OSError, self._submitit.core.utils.FailedJobError) as error:
            raise _no_slurm(" ".join(str(error).split())[:200]) from None
        return SlurmWorker(job, self._asking, self._ending)


def _cluster() -> str:
    return os.environ.get(CLUSTER) or "slurm"


def _no_slurm(why: str) -> SpecError:
    todo = f"check {OPTIONS}, or set {CLUSTER}=local to try it here"
    return SpecError(f"Slurm did not take the job ({why})", "a machine on which sbatch works", todo)


def _needs(share: Share) -> dict[str, Any]:
    needs: dict[str, Any] = {"timeout_min": 24 * 60}
    if _cluster() == "slurm":
        needs |= {"cpus_per_task": share.threads, "nodes": 1, "tasks_per_node": 1}
        needs |= {"gpus_per_node": share.gpus} if share.gpus else {}
        needs |= {"mem_gb": share.memory} if share.memory is not None else {}
        needs["slurm_additional_parameters"] = _further()
    return needs


def _further() -> dict[str, str]:
    """Return the user's options for `sbatch`; raises SpecError for an option without a value."""
    pairs = [pair.partition("=")[::2] for pair in os.environ.get(OPTIONS, "").split(",") if pair]
    for name, value in pairs:
        if not value:
            raise SpecError(f"{OPTIONS} has '{name}'", "NAME=VALUE, separated by commas", "see 'man sbatch'")
    return dict(pairs)


def _work(out: str, plan: str, threads: int) -> None:
    # Libraries read these variables at their first import, which happens below.
    os.environ.update(worker_environment(threads))
    from layeratlas.sweeps.worker import work

    # submitit ignores the first, and makes an error of the second.
    with contextlib.suppress(KeyboardInterrupt), stoppable(signal.SIGTERM, _time_limit()):
        work(out, plan)


def _time_limit() -> signal.Signals:
    """Return the signal that submitit asks Slurm to send before a job's time is over."""
    return signal.Signals[f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"]


def make_engine() -> Engine:
    """Return the engine; raises ImportError without submitit."""
    import submitit

    return Slurm(submitit)
