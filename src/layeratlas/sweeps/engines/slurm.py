"""Workers as Slurm jobs through submitit; `LAYERATLAS_SLURM=local` runs them on this machine for testing.

Slurm announces the end of a job with SIGTERM, and its time limit with the signal that submitit asks for 90 s before it.
Both stop a worker like Ctrl-C, so that its unit waits for another one.

Further options of `sbatch` are taken from `LAYERATLAS_SLURM_OPTIONS`, such as `partition=gpu,time=12:00:00`.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from typing import Any

from layeratlas.core.errors import SpecError
from layeratlas.sweeps.engines.contract import Engine, Launch, Share, Worker
from layeratlas.sweeps.engines.processes import worker_environment

CLUSTER, OPTIONS = "LAYERATLAS_SLURM", "LAYERATLAS_SLURM_OPTIONS"


# Seconds between questions to Slurm, one of which covers all jobs. submitit alone asks every ten minutes in the end.
_ASK = 60.0


class Asking:
    """Tells when Slurm may be asked again."""

    def __init__(self) -> None:
        self._last = -math.inf

    def due(self) -> bool:
        """Return whether it may be asked now, and count that as asked."""
        now = time.monotonic()
        if now - self._last < _ASK:
            return False
        self._last = now
        return True


class SlurmWorker(Worker):
    """A job that is queued or running."""

    def __init__(self, job: Any, asking: Asking) -> None:
        self._job, self._asking = job, asking

    def is_running(self) -> bool:
        """Return whether it has not ended yet; a job that was killed may count as running for a minute."""
        return not self._job.done(force_check=self._asking.due())

    def stop(self) -> None:
        """Cancel it."""
        self._job.cancel()


class Slurm(Engine):
    """Submits one job per worker."""

    def __init__(self, submitit: Any) -> None:
        self._submitit, self._asking = submitit, Asking()

    def start(self, launch: Launch, slot: int) -> Worker:
        """Submit a worker; raises SpecError if Slurm rejects it."""
        cluster = os.environ.get(CLUSTER, "slurm")
        try:
            executor = self._submitit.AutoExecutor(folder=launch.out / "workers" / "%j", cluster=cluster)
            executor.update_parameters(name=f"layeratlas-{slot}", **_needs(launch.share, cluster))
            return SlurmWorker(executor.submit(_work, launch.address, launch.plan, launch.share.threads), self._asking)
        except (RuntimeError, OSError, self._submitit.core.utils.FailedJobError) as error:
            raise SpecError(
                f"Slurm did not take the job ({' '.join(str(error).split())[:200]})",
                "a machine on which sbatch works",
                f"check {OPTIONS}, or set {CLUSTER}=local to try it here",
            ) from None


def _needs(share: Share, cluster: str) -> dict[str, Any]:
    needs: dict[str, Any] = {"timeout_min": 24 * 60}
    if cluster == "slurm":
        needs |= {"cpus_per_task": share.threads, "nodes": 1, "tasks_per_node": 1}
        needs |= {"gpus_per_node": share.gpus} if share.gpus else {}
        needs |= {"mem_gb": share.memory} if share.memory is not None else {}
        needs["slurm_additional_parameters"] = _further()
    return needs


def _further() -> dict[str, str]:
    """Return the user's options for `sbatch`; raises SpecError for an option without a value."""
    given = os.environ.get(OPTIONS, "")
    pairs = [pair.partition("=") for pair in given.split(",") if pair]
    for name, _, value in pairs:
        if not value:
            raise SpecError(f"{OPTIONS} has '{name}'", "NAME=VALUE, separated by commas", "see 'man sbatch'")
    return {name: value for name, _, value in pairs}


def _work(out: str, plan: str, threads: int) -> None:
    # Libraries read these variables at their first import, which happens below.
    os.environ.update(worker_environment(threads))
    from layeratlas.core.processes import stoppable
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
