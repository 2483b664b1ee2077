"""How differently the classes of a data set use the experts of each router, and of the router that differs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ROUNDING, draws_interval, widened
from layeratlas.stats.peaks import cross_read
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.routing import distance
from layeratlas.stats.tests import rank_p
from layeratlas.stats.verdicts import Effect


@dataclass(frozen=True, kw_only=True)
class Distances:
    """The distances of the classes at R routers with 95 % intervals, and under shuffled labels, each (R,).

    `top` is the router whose distance exceeds that of its shuffles by most standard deviations. `excess` is how far it
    does: the router is chosen on one half of the groups and read on the other, since the largest of R values is too
    large on average; its p tests the largest excess of all routers.
    """

    value: Floats
    lo: Floats
    hi: Floats
    control: Floats
    control_hi: Floats
    top: int
    excess: Effect


def class_distances(used: Floats, y: Floats, orders: Ints, groups: Sequence[str], sampler: Resampler) -> Distances:
    """Return the distances in the use of experts `used` (n, R, E) between the classes `y` (n,).

    `orders` (S, n) are shuffled orders of the labels, S at least the number of the sampler's halves.
    """
    weights = sampler.weights(groups)
    sample = split_draws(distance(used, y, weights), sampler)
    everyone = np.ones((1, len(y)))
    shuffled = np.concatenate([distance(used, y[order], everyone) for order in orders])
    spread, control = shuffled.std(0) + ROUNDING, shuffled.mean(0)
    # Each router is standardised by its own shuffles, so that no single router with few experts or texts dominates.
    standard = (sample.estimate - control) / spread
    null = ((shuffled - control) / spread).max(1)
    value = cross_read(*_excesses(used, y, orders, weights, sampler), lambda excess: excess / spread)
    count, top = len(set(groups)), int(standard.argmax())
    # Resampling adds the bias of a finite sample to the distance a second time; the interval is shifted back by it.
    unbiased = sample.draws - (sample.draws.mean(0) - sample.estimate)
    lo, hi = draws_interval(
        widened(sample.estimate, unbiased, count, times=1.0, least=0.0, most=1.0), count, least=0.0, most=1.0
    )
    shift = value - float(sample.estimate[top])
    return Distances(
        value=sample.estimate,
        lo=lo,
        hi=hi,
        control=control,
        control_hi=np.percentile(shuffled, 97.5, axis=0),
        top=top,
        excess=Effect(
            estimate=value,
            lo=float(lo[top]) + shift,
            hi=float(hi[top]) + shift,
            p=rank_p(float(standard.max()), null),
        ),
    )


def _excesses(used: Floats, y: Floats, orders: Ints, weights: Floats, sampler: Resampler) -> tuple[Floats, Floats]:
    """Return how far the distance exceeds that of shuffled labels on halves of the groups, two arrays (H, R).

    The control is that of halves too: with fewer texts, the distance is larger by chance.
    """
    halves = weights[1 + sampler.bootstrap :]
    own = distance(used, y, halves)
    numbers = np.arange(len(halves)) % len(orders)
    chance = np.concatenate([distance(used, y[orders[i]], half[None]) for i, half in zip(numbers, halves, strict=True)])
    excess = own - np.nanmean(chance, 0)
    excess = np.where(np.isfinite(excess), excess, 0.0)  # a half can lack a class
    return excess[: sampler.halves], excess[sampler.halves :]
