"""What an engine is: it starts workers, and says whether one still runs."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from layeratlas.core.errors import SpecError, unknown_name

# The module of each engine, and the extra that installs what it needs.
_ENGINES = {"processes": "", "ray": "ray", "slurm": "slurm"}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What the workers of an engine are told: where the sweep is, its plan, and what each of them may use.

    `address` is the sweep's folder or bucket; `out` a folder of this machine, for what workers print.
    `threads` are the cores of one worker, `memory` its GB (None: not limited), `gpus` the devices that it is given.
    """

    out: Path
    address: str
    plan: str
    threads: int
    gpus: int = 0
    memory: float | None = None


class Worker(Protocol):
    """A worker that was started."""

    def is_running(self) -> bool:
        """Return whether it has not ended yet, in whatever way."""

    def stop(self) -> None:
        """End it and wait until it has."""


class Engine(Protocol):
    """Starts workers, on this machine or elsewhere."""

    def start(self, launch: Launch, number: int) -> Worker:
        """Start the worker of that number; raises SpecError where the engine cannot be used."""


def find_engine(name: str) -> Engine:
    """Return an engine by name; raises SpecError where it is unknown or what it needs is not installed."""
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
