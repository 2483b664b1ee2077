"""A level curve with its bootstrap draws, as stored by a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from layeratlas.core.arrays import Floats


class Key(NamedTuple):
    """Which level curve: `metric` is the level's main measure."""

    level: str
    component: str
    method: str
    metric: str


@dataclass(frozen=True, kw_only=True)
class LevelDraws:
    """A stored level curve of P layers, float64.

    estimate (P,); draws (B, P); half_a, half_b (H, P) on random halves of the groups and their complements; floor
    (P,), the largest of chance, surface-only baseline and control.
    """

    estimate: Floats
    draws: Floats
    half_a: Floats
    half_b: Floats
    floor: Floats
