"""What each worker of a sweep is given: cores, devices and memory, within what its engine has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ModelSpec
from layeratlas.sweeps.engines import Engine, Share
from layeratlas.sweeps.units import Unit


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The resources of a sweep: workers on an engine, and threads, GPUs and GB of memory per worker.

    `workers` defaults to one per GPU of this machine, or one where it has none. `gpus` defaults to one where this
    machine has any and the runs use it, as many as a model's `parallel` asks for; no more workers are started then than
    there are GPUs for. With `gpus=0` all workers share the device that a run's own `device` names. `threads` defaults
    to the cores of this machine divided by the number of workers. `memory` is asked for on Ray and Slurm.
    """

    workers: int | None = None
    on: str = "processes"
    threads: int | None = None
    gpus: int | None = None
    memory: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 1), ("gpus", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SpecError(f"the option {name}={value} is invalid", f"a whole number, at least {least}")
        if self.memory is not None and not 0 < self.memory < math.inf:
            raise SpecError(f"the option memory={self.memory} is invalid", "GB, more than 0")

    def share(self, engine: Engine, units: Sequence[Unit]) -> Share:
        """Return what each worker is given; raises SpecError for what the engine cannot give."""
        from joblib import cpu_count

        devices, workers, gpus = engine.devices(), self.workers, self.gpus
        if gpus is None:
            gpus = min(devices, _devices_of([unit.spec.model for unit in units]))
            workers = min(workers, devices // gpus) if workers and gpus else workers
        workers = workers or max(1, devices // gpus if gpus else 1)
        threads = self.threads or max(1, cpu_count() // workers)
        share = Share(workers=workers, threads=threads, gpus=gpus, memory=self.memory)
        engine.demand(share)
        return share


def _devices_of(models: Sequence[ModelSpec]) -> int:
    """Return how many devices a worker needs for any of these models; 0 if they are on the CPU or name devices."""
    elsewhere = [model for model in models if model.device != "cpu"]
    if any(":" in model.device for model in elsewhere):  # the numbers of a worker's own devices begin at 0
        return 0
    return max((model.parallel for model in elsewhere), default=0)
