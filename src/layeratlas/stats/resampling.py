"""The bootstrap over groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats


class Resampler:
    """Group weights that are shared by every data set in which a group occurs.

    Row 0 is the whole sample; then `bootstrap` multinomial draws over groups; then `halves` random halves and
    their complements. Data sets of one level can share groups (a noun has four properties), and then their
    means must be resampled together.
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

    def weights(self, groups: Sequence[str]) -> Floats:
        """Return item weights, (1 + bootstrap + 2 halves, n)."""
        return self._weights[:, [self._at[g] for g in groups]]


def split_draws(values: Floats, resampler: Resampler) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the estimate (P,), the draws (B, P) and both halves (H, P) of values (1 + B + 2H, P)."""
    b, h = resampler.bootstrap, resampler.halves
    # A draw can miss a class in a small stratum and then has no value; the estimate stands in for it.
    values = np.where(np.isfinite(values), values, values[:1])
    return values[0], values[1 : 1 + b], values[1 + b : 1 + b + h], values[1 + b + h :]
