"""What a run keeps so that models can be compared on the same texts: bootstrap draws of its curves.

Runs of the same texts, seed and number of draws resample the same groups in draw i, so that the difference of two
models' draws is paired.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.core.arrays import Floats
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.stats.draws import Key, LevelDraws

FILE = "draws.safetensors"


_HALVES = 20


_PARTS = ("estimate", "draws", "half_a", "half_b", "floor")


class Drawn(Protocol):
    """A curve with its bootstrap, as `analysis.curves.Curve` has it."""

    @property
    def level(self) -> str:
        """The level."""
        ...

    @property
    def task(self) -> str:
        """The task, or `all`."""
        ...

    @property
    def stratum(self) -> str:
        """The part of the texts, or `all`."""
        ...

    @property
    def component(self) -> str:
        """The component."""
        ...

    @property
    def method(self) -> str:
        """The method."""
        ...

    @property
    def metric(self) -> str:
        """The measure."""
        ...

    @property
    def estimate(self) -> Floats:
        """(P,)."""
        ...

    @property
    def draws(self) -> Floats:
        """(B, P)."""
        ...

    @property
    def half_a(self) -> Floats:
        """(H, P)."""
        ...

    @property
    def half_b(self) -> Floats:
        """(H, P)."""
        ...

    @property
    def shuffles(self) -> Floats:
        """(S, P)."""
        ...

    @property
    def chance(self) -> float:
        """What blind choice scores."""
        ...

    @property
    def baseline(self) -> float:
        """What the surface gives; NaN for none."""
        ...


def write_draws(folder: Path, curves: Iterable[Drawn], values: Mapping[str, Floats] | None = None) -> str:
    """Keep the draws of every whole level's main measure, in float32, and return the file's name.

    The main measure is a level's and component's first. `values`: draws (B,) of single numbers by name, such as
    `brittleness Local`, resampled over the same groups in every run.
    """
    whole = [c for c in curves if c.task == "all" and c.stratum == "all"]
    main: dict[tuple[str, str], str] = {}
    for curve in whole:
        main.setdefault((curve.level, curve.component), curve.metric)
    kept = [c for c in whole if c.metric == main[c.level, c.component]]
    tensors: dict[str, NDArray[np.float32]] = {}
    for i, curve in enumerate(kept):
        parts = {
            "estimate": curve.estimate,
            "draws": curve.draws,
            "half_a": curve.half_a[:_HALVES],
            "half_b": curve.half_b[:_HALVES],
            "floor": _floor(curve),
        }
        tensors |= {f"{i}.{name}": np.ascontiguousarray(part, np.float32) for name, part in parts.items()}
    named = dict(values or {})
    tensors |= {f"value.{i}": np.ascontiguousarray(part, np.float32) for i, part in enumerate(named.values())}
    keys = [[c.level, c.component, c.method, c.metric] for c in kept]
    write_atomic(folder / FILE, save(tensors, metadata={"curves": json.dumps(keys), "values": json.dumps([*named])}))
    return FILE


def _floor(curve: Drawn) -> Floats:
    own: Floats | None = getattr(curve, "floor", None)  # a study's own idea of what must be beaten
    if own is not None:
        return own
    control = curve.shuffles.mean(0) if len(curve.shuffles) else np.full(len(curve.estimate), -np.inf)
    floor: Floats = np.fmax(np.fmax(control, curve.chance), curve.baseline)
    return floor


class Draws:
    """The draws of one finished run, each read when it is asked for.

    Raises StoreError, in one line, where the file is missing or broken.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        try:
            with safe_open(self.path, framework="np") as file:
                known = file.metadata() or {}
            self.keys = [Key(*names) for names in json.loads(known["curves"])]
            self.values: list[str] = json.loads(known["values"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
            raise StoreError(
                f"'{self.path}' is missing or cannot be read",
                "the draws of a finished run",
                "run it again in a new --out",
            ) from error

    def curve(self, key: Key) -> LevelDraws | None:
        """Return a level curve, or None where the run has none of that key."""
        if key not in self.keys:
            return None
        return LevelDraws(*self._read(*(f"{self.keys.index(key)}.{part}" for part in _PARTS)))

    def value(self, name: str) -> Floats | None:
        """Return the draws (B,) of a single number, or None where the run kept none of that name."""
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
    """Return a run's draws, or None where it kept none."""
    with suppress(StoreError):
        return Draws(folder)
    return None
