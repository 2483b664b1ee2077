"""Means of values by item, with intervals over groups and exact sign flips of the groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import draws_interval, widened
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.stats.tests import holm, sign_flip
from layeratlas.stats.verdicts import Effect


@dataclass(frozen=True, kw_only=True)
class GroupMeans:
    """The means of P columns, and their bootstrap over groups, widened for few groups.

    `sample`: the means (P,), their draws (B, P), and the means on halves of the groups (H, P). `sums` (G, P): the sum
    of each group's values.
    """

    sample: Sample
    sums: Floats

    def interval(self, *, least: float = -np.inf, most: float = np.inf) -> tuple[Floats, Floats]:
        """Return the 95 % interval of each mean, lo and hi each (P,), within `least` and `most`."""
        return draws_interval(self.sample.draws, len(self.sums), least=least, most=most)

    @property
    def ps(self) -> list[float]:
        """The p-value of each mean against 0, by exact sign flips of the groups' sums, uncorrected."""
        return [sign_flip(own) for own in self.sums.T]

    def effects(
        self, ps: Sequence[float] | None = None, *, least: float = -np.inf, most: float = np.inf
    ) -> list[Effect]:
        """Return each mean with its interval and p-value; by default Holm-corrected over the columns."""
        lo, hi = self.interval(least=least, most=most)
        return [
            Effect(estimate=float(value), lo=float(lo[i]), hi=float(hi[i]), p=p)
            for i, (value, p) in enumerate(zip(self.sample.estimate, ps or holm(self.ps), strict=True))
        ]


def group_means(values: Floats, groups: Sequence[str], resampler: Resampler) -> GroupMeans:
    """Return the means of the columns of values (n, P); `groups` are the n items' groups."""
    weights = resampler.weights(groups)
    sample = split_draws((weights @ values) / np.maximum(weights.sum(1, keepdims=True), 1), resampler)
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.stack([np.bincount(group_of, column, len(names)).astype(float) for column in values.T], 1)
    draws = widened(sample.estimate, sample.draws, len(names), times=1.0)
    return GroupMeans(sample=sample._replace(draws=draws), sums=sums)
