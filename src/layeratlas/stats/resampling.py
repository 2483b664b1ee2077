"""The bootstrap over groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats


class Resampler:
    """Bootstrap weights of groups, shared by every data set in which a group occurs.

    Row 0 is the whole sample; then follow `bootstrap` multinomial draws over groups, then `halves` random halves and
    their complements. Data sets of one level can share groups (a noun has four properties), so their means must be
    resampled together.
    """

    def __init__(self, groups: Sequence[str], bootstrap: int, seed: int, halves: int = 200) -> None:
        names = sorted(set(groups))
        rng = np.random.default_rng([seed, 11])
        g = len(names)
        draws = rng.multinomial(g, np.full(g, 1 / g), size=bootstrap)
        first = np.argsort(rng.random((halves, g)), axis=1).argsort(1) < g // 2
        self._weights = np.concatenate([np.ones((1, g)), draws, first, ~first]).astype(float)
        self._at = {name: i for i, name in enumerate(names)}
        self.bootstrap, self.halves = bootstrap, halves

    def weights(self, groups: Sequence[str], *, halves: bool = True) -> Floats:
        """Return item weights, (1 + bootstrap + 2 halves, n); without the halves (1 + bootstrap, n)."""
        rows = self._weights if halves else self._weights[: 1 + self.bootstrap]
        return rows[:, [self._at[g] for g in groups]]


class Sample(NamedTuple):
    """A statistic of the whole sample, (...), of B bootstrap draws, (B, ...), and of H pairs of halves, (H, ...)."""

    estimate: Floats
    draws: Floats
    half_a: Floats
    half_b: Floats


def split_draws(values: Floats, resampler: Resampler) -> Sample:
    """Split a statistic under every row of a resampler's weights, (1 + B + 2H, ...), by kind of row.

    A draw that misses a class in a small stratum has no value; the estimate is used instead.
    """
    b, h = resampler.bootstrap, resampler.halves
    values = np.where(np.isfinite(values), values, values[:1])
    return Sample(
        estimate=values[0],
        draws=values[1 : 1 + b],
        half_a=values[1 + b : 1 + b + h],
        half_b=values[1 + b + h :],
    )
