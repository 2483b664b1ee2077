"""Workers as Ray tasks, on the cluster of `RAY_ADDRESS` or, without one, on this machine."""

from __future__ import annotations

import os
from typing import Any

from layeratlas.core.errors import SpecError
from layeratlas.sweeps.engines.contract import Engine, Launch, Worker
from layeratlas.sweeps.engines.processes import worker_environment


class RayWorker(Worker):
    """A task that Ray has queued or is running."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def is_running(self) -> bool:
        """Return whether it has neither ended nor crashed; its error, if any, is in the unit's state."""
        ready, _ = self._ray.wait([self._task], timeout=0)
        return not ready

    def stop(self) -> None:
        """Interrupt it, and let Ray kill it if it does not stop."""
        self._ray.cancel(self._task, force=False)
        _, running = self._ray.wait([self._task], timeout=20)
        if running:
            self._ray.cancel(self._task, force=True)


class Ray(Engine):
    """Requests cores, GPUs and memory per worker from Ray; the sweep, not Ray, replaces workers that crash."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def start(self, launch: Launch, number: int) -> Worker:
        """Queue the worker with this number; raises SpecError if no cluster responds."""
        if not self._ray.is_initialized():
            try:
                self._ray.init(
                    address=os.environ.get("RAY_ADDRESS"),
                    include_dashboard=False if "RAY_ADDRESS" not in os.environ else None,
                    log_to_driver=False,
                    logging_level="error",
                )
            except Exception as error:
                raise SpecError(
                    f"Ray cannot be reached ({' '.join(str(error).split())[:200]})",
                    "a cluster at RAY_ADDRESS, or none named",
                    "start one with 'ray start --head', or unset RAY_ADDRESS",
                ) from None
        needs: dict[str, Any] = {"num_cpus": launch.threads, "num_gpus": launch.gpus, "max_retries": 0}
        if launch.memory is not None:
            needs["memory"] = int(launch.memory * 1e9)
        environment = {"env_vars": worker_environment(launch.threads)}
        task = self._ray.remote(_work).options(runtime_env=environment, **needs)
        return RayWorker(self._ray, task.remote(launch.address, launch.plan))


def _work(out: str, plan: str) -> None:
    from layeratlas.sweeps.worker import work

    work(out, plan)


def make_engine() -> Engine:
    """Return the engine; raises ImportError without Ray."""
    import ray

    return Ray(ray)
