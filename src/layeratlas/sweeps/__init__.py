"""Sweeps: many runs, spread over workers on engines that only launch them."""

from layeratlas.sweeps.reading import read_sweep
from layeratlas.sweeps.running import Sweep, sweep
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.training import training

__all__ = ["Sweep", "SweepSpec", "read_sweep", "sweep", "training"]
