"""Workers as Ray tasks, on the cluster of `RAY_ADDRESS` or, without one, on this machine."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from layeratlas.core.errors import SpecError
from layeratlas.sweeps.engines.contract import Engine, Launch, Share, Worker
from layeratlas.sweeps.engines.processes import worker_environment

_ADDRESS = "RAY_ADDRESS"
# Seconds that an interrupted worker has to clean up its folders, and a killed one to be gone.
_GRACE = 20.0


class RayWorker(Worker):
    """A task that Ray has queued or is running."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray, self._task = ray, task

    def is_running(self) -> bool:
        """Return whether it has neither ended nor crashed; its error, if any, is in the unit's state."""
        ready, _ = self._ray.wait([self._task], timeout=0)
        return not ready

    def stop(self) -> None:
        """Interrupt it."""
        self._ray.cancel(self._task, force=False)

    def wait(self) -> None:
        """Wait until it has ended, and let Ray kill it if that takes too long."""
        _, running = self._ray.wait([self._task], timeout=_GRACE)
        if running:
            self._ray.cancel(self._task, force=True)
            self._ray.wait([self._task], timeout=_GRACE)


class Ray(Engine):
    """Requests cores, GPUs and memory per worker from Ray; the sweep, not Ray, replaces workers that crash."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def devices(self) -> int:
        """Return how many GPUs the cluster has."""
        self._begin()
        return int(self._ray.cluster_resources().get("GPU", 0))

    def demand(self, share: Share) -> None:
        """Raise SpecError for a worker that this machine has no room for: Ray would wait for ever.

        A cluster may grow, so that nothing is refused there.
        """
        self._begin()
        if _ADDRESS in os.environ:
            return
        here = self._ray.cluster_resources()
        needs = {"CPU": share.threads, "GPU": share.gpus, "memory": share.memory and share.memory * 1e9}
        for name, need in needs.items():
            if need and need > here.get(name, 0):
                given = f"{need / 1e9:g} GB of memory" if name == "memory" else f"{need} {name}s"
                has = f"{here.get(name, 0) / 1e9:.1f} GB" if name == "memory" else f"{here.get(name, 0):g}"
                raise SpecError(
                    f"a worker is to have {given}, and Ray has {has} on this machine",
                    f"at most {has} per worker",
                    f"set {_ADDRESS} for a cluster",
                )

    def start(self, launch: Launch, slot: int) -> Worker:
        """Queue a worker; raises SpecError if no cluster responds."""
        self._begin()
        share = launch.share
        needs: dict[str, Any] = {"num_cpus": share.threads, "num_gpus": share.gpus, "max_retries": 0}
        if share.memory is not None:
            needs["memory"] = int(share.memory * 1e9)
        environment = {"env_vars": worker_environment(share.threads)}
        task = self._ray.remote(_work).options(runtime_env=environment, **needs)
        return RayWorker(self._ray, task.remote(launch.address, launch.plan, str(Path.cwd())))

    def _begin(self) -> None:
        """Connect to the cluster, or start Ray on this machine; raises SpecError if no cluster responds."""
        if self._ray.is_initialized():
            return
        try:
            self._ray.init(
                address=os.environ.get(_ADDRESS),
                include_dashboard=False if _ADDRESS not in os.environ else None,
                log_to_driver=False,
                logging_level="error",
            )
        except Exception as error:
            raise SpecError(
                f"Ray cannot be reached ({' '.join(str(error).split())[:200]})",
                f"a cluster at {_ADDRESS}, or none named",
                f"start one with 'ray start --head', or unset {_ADDRESS}",
            ) from None


def _work(out: str, plan: str, folder: str) -> None:
    """Work in the caller's folder, where the node has it: workers of a cluster begin in the folder of `ray start`.

    Paths of models and texts may be relative.
    """
    from layeratlas.sweeps.worker import work

    with contextlib.chdir(folder) if Path(folder).is_dir() else contextlib.nullcontext():
        work(out, plan)


def make_engine() -> Engine:
    """Return the engine; raises ImportError without Ray."""
    import ray

    return Ray(ray)
