"""Store and read the bootstrap draws of a run's curves, so that models can be compared on the same texts.

Runs of the same texts, seed and number of draws resample the same groups in draw i, so that the difference of two
models' draws is paired.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.stats.curves import Curve
from layeratlas.stats.draws import Key, LevelDraws

FILE = "draws.safetensors"
# How many pairs of halves are stored per curve.
_HALVES = 20
# The tensors of a curve, in the order of the fields of LevelDraws.
_ARRAYS = ("estimate", "draws", "half_a", "half_b", "floor")


def write_draws(folder: Path, curves: Iterable[Curve], values: Mapping[str, Floats] | None = None) -> str:
    """Write the draws of the main measure of every level (all tasks), in float32, and return the file's name.

    The main measure is the first of a level and component. `values`: draws (B,) of single numbers by name, such as
    `brittleness Local`, resampled over the same groups in every run.
    """
    kept = _main_curves(curves)
    tensors: dict[str, NDArray[np.float32]] = {}
    for i, curve in enumerate(kept):
        arrays = (curve.estimate, curve.draws, curve.half_a[:_HALVES], curve.half_b[:_HALVES], curve.floor)
        tensors |= {f"{i}.{name}": _narrow(array) for name, array in zip(_ARRAYS, arrays, strict=True)}
    named = dict(values or {})
    tensors |= {f"value.{i}": _narrow(draws) for i, draws in enumerate(named.values())}
    keys = [[curve.level, curve.component, curve.method, curve.metric] for curve in kept]
    metadata = {"curves": json.dumps(keys), "values": json.dumps([*named])}
    write_atomic(folder / FILE, save(tensors, metadata=metadata))
    return FILE


def _main_curves(curves: Iterable[Curve]) -> list[Curve]:
    """Return the level curves (all tasks) of the first measure of each level and component.

    Curves of one group are left out: their draws are all equal, and a comparison would read the spread of 0 as
    certainty.
    """
    levels = [curve for curve in curves if curve.task == "all" and curve.stratum == "all" and curve.n_groups > 1]
    main: dict[tuple[str, str], str] = {}
    for curve in levels:
        main.setdefault((curve.level, curve.component), curve.metric)
    return [curve for curve in levels if curve.metric == main[curve.level, curve.component]]


def _narrow(values: Floats) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, np.float32)


class Draws:
    """The draws of one finished run; each is read on first use.

    Raises StoreError, in one line, if the file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            with safe_open(self.path, framework="np") as file:
                metadata = file.metadata() or {}
            self.keys = [Key(*names) for names in json.loads(metadata["curves"])]
            self.values: list[str] = json.loads(metadata["values"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StoreError(
                f"'{self.path}' is missing or cannot be read",
                "the draws of a finished run",
                "run it again in a new --out",
            ) from error

    def curve(self, key: Key) -> LevelDraws | None:
        """Return a level curve, or None if the run has no curve of that key."""
        if key not in self.keys:
            return None
        at = self.keys.index(key)
        arrays = self._read(*(f"{at}.{name}" for name in _ARRAYS))
        return LevelDraws(**dict(zip(_ARRAYS, arrays, strict=True)))

    def value(self, name: str) -> Floats | None:
        """Return the draws (B,) of a single number, or None if the run has none of that name."""
        return self._read(f"value.{self.values.index(name)}")[0] if name in self.values else None

    def _read(self, *names: str) -> list[Floats]:
        try:
            with safe_open(self.path, framework="np") as file:
                return [file.get_tensor(name).astype(np.float64) for name in names]
        except (OSError, SafetensorError) as error:
            raise StoreError(
                f"'{self.path}' lacks '{names[0]}'", "whole draws", "run it again in a new --out"
            ) from error


def draws_of(folder: Path) -> Draws | None:
    """Return a run's draws, or None if it has no draws file."""
    with suppress(StoreError):
        return Draws(folder)
    return None
