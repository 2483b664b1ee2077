"""The variation of boundaries within a family of models, compared with nulls without boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.segmentation import left_out, two_boundaries, without_ends

# The number of simulated families per null, and the number segmented at once.
_SETS, _AT_ONCE = 400, 5


class NullBand(NamedTuple):
    """The 5th, 50th and 95th percentile of a null."""

    lo: float
    middle: float
    hi: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The coefficient of variation (ddof = 1) of a boundary's relative depth in a family, and in three nulls.

    The nulls are models with the same numbers of blocks. Their two boundaries are fitted to signals that are a smooth
    `ramp` with 5 % noise or `white` noise, or are placed at `random`.
    """

    cv: float
    sd: float
    ramp: NullBand
    white: NullBand
    random: NullBand

    @property
    def stable(self) -> bool:
        """Whether the CV is below the 5th percentile of the ramp's and of random boundaries'."""
        return self.cv < min(self.ramp.lo, self.random.lo)

    @property
    def variable(self) -> bool:
        """Whether the CV is not below random boundaries' 5th percentile and above the ramp's 95th percentile."""
        return self.cv > self.ramp.hi and self.cv >= self.random.lo


def spread_of(boundaries: Floats, blocks: Sequence[int], seed: int = 0, signals: int = 4) -> list[Spread]:
    """Return the spread of both boundaries (M, 2), fractions of depth, of M models with these numbers of blocks.

    `signals` is the number of signals in the nulls; the segments study fuses four.
    """
    rng = np.random.default_rng([seed, 47])
    nulls = {name: _null(name, blocks, signals, rng) for name in ("ramp", "white", "random")}
    spreads = []
    for i in range(boundaries.shape[1]):
        bands = {
            name: NullBand(*np.percentile(_cv(null[..., i]), [5, 50, 95]).tolist()) for name, null in nulls.items()
        }
        values = boundaries[:, i]
        spreads.append(Spread(cv=float(_cv(values)), sd=float(values.std(ddof=1)), **bands))
    return spreads


def _cv(values: Floats) -> Floats:
    """Return the coefficient of variation over the last axis."""
    cv: Floats = values.std(-1, ddof=1) / values.mean(-1)
    return cv


def _null(name: str, blocks: Sequence[int], signals: int, rng: np.random.Generator) -> Floats:
    """Return boundaries (sets, M, 2), as fractions of depth, of simulated models without true boundaries."""
    of_models = []
    for layers in blocks:
        if name == "random":
            of_models.append(np.sort(rng.random((_SETS, 2)), axis=1))
            continue
        trend, noise = (np.linspace(0, 1, layers), 0.05) if name == "ramp" else (np.zeros(layers), 1.0)
        of_models.append(_boundaries_of(trend + noise * rng.standard_normal((_SETS, signals, layers))) / layers)
    return np.stack(of_models, 1)


def _boundaries_of(signals: Floats) -> Floats:
    """Return the two boundaries (N, 2), in blocks, of sets of signals (N, S, L)."""
    # A few sets at a time, so that their cost matrices fit into the CPU cache.
    pieces = np.array_split(signals, max(1, len(signals) // _AT_ONCE))
    boundaries = np.concatenate([two_boundaries(without_ends(piece))[0] for piece in pieces])
    return boundaries.astype(float) + left_out(signals.shape[-1])
