"""What each worker of a sweep is given: cores, devices and memory, within what its engine has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import Field

from layeratlas.core.errors import SpecError
from layeratlas.core.spec import ModelSpec, Spec
from layeratlas.sweeps.engines import Engine, Share
from layeratlas.sweeps.units import Unit


class Resources(Spec):
    """The resources of a sweep: workers on an engine, and threads, GPUs and GB of memory per worker.

    `workers` defaults to one per GPU of this machine, or one where it has none. `gpus` defaults to one where this
    machine has any and the runs use it, as many as a model's `parallel` asks for; no more workers are started then than
    there are GPUs for. With `gpus=0` all workers share the device that a run's own `device` names. `threads` defaults
    to the cores of this machine divided by the number of workers. `memory` is asked for on Ray and Slurm.
    """

    noun: ClassVar[str] = "option"

    workers: int | None = Field(default=None, ge=1, description="workers at a time")
    on: str = Field(default="processes", description="the engine: processes, ray or slurm")
    threads: int | None = Field(default=None, ge=1, description="cores per worker")
    gpus: int | None = Field(default=None, ge=0, description="GPUs per worker; 0: all share one")
    memory: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="GB of memory per worker")

    @classmethod
    def of(cls, given: object) -> Resources:
        """Return the given resources, those of fields by name, or the default for None; SpecError for anything else."""
        if isinstance(given, Resources):
            return given
        if given is not None and not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
            raise SpecError(f"the resources are {given!r}", "Resources or its fields, such as {'workers': 2}")
        return cls(**(given or {}))

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
