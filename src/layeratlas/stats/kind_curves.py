"""Whether curves over layers differ between kinds of texts: the largest difference, against shuffled kinds.

The statistic is the largest |t| (Welch 1947) over all pairs of kinds and all layers, so its null distribution corrects
for both; every t is compared as the normal quantile of its own degrees of freedom. There are two nulls, and the larger
p counts. Kinds are exchangeable over texts (within a group, if every group has every kind, as translations of one text
do): exact. And the means are equal, with a variance of each kind's own: random signs of the texts' residuals (Wu 1986,
the wild bootstrap). Shuffling alone rejects too often if few texts of kinds differ in variance. The interval inverts
the test: it holds for all pairs and layers at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ALPHA, ROUNDING
from layeratlas.stats.tests import rank_p
from layeratlas.stats.verdicts import POWER


@dataclass(frozen=True, kw_only=True)
class CurveDifference:
    """The difference of two kinds' mean curves where the interval is farthest from 0, or least across it.

    `first`, `second`: the kinds, as numbers; `layer`: the place; `means`: those of both there, over groups; `estimate`,
    `lo`, `hi`: the mean of the first less that of the second; `p`: the share of shuffles with as large a |t|.
    `farthest`: the largest distance from 0 of any end of any interval. `seen`: the difference that would have been
    detected at a layer of median error with a power of 0.8.
    """

    first: int
    second: int
    layer: int
    means: tuple[float, float]
    estimate: float
    lo: float
    hi: float
    p: float
    farthest: float
    seen: float


def largest_difference(values: Floats, kinds: Ints, groups: Ints, *, shuffles: int, seed: int) -> CurveDifference:
    """Return the largest difference between the mean curves of kinds.

    values: (n, L), a curve per text; kinds: (n,) numbers from 0, at least two with two groups each; groups: (n,)
    numbers. Texts of one kind and group are averaged first. If every group has every kind, differences are taken within
    groups. If some have and others have not, groups are ignored, which is conservative.
    """
    values, kinds, groups = _cells(values, kinds, groups)
    means = _means(values, kinds)
    complete = _is_complete(kinds, groups)
    if complete:
        values = values - _means(values, groups)[groups]
    rng = np.random.default_rng(seed)
    difference, error, freedom = (part[0] for part in _shuffles(values, kinds[None]))
    z = _as_normal(difference, error, freedom)
    nulls = _nulls(values, kinds, groups if complete else None, shuffles, rng)
    critical = max(float(np.quantile(null, 1 - ALPHA, method="higher")) for null in nulls)
    factor = scipy.stats.t.isf(scipy.stats.norm.sf(critical), freedom)
    reach = factor * error
    pair, layer = np.unravel_index(int((np.abs(difference) - reach).argmax()), reach.shape)
    first, second = _pairs(int(kinds.max()) + 1)[pair]
    estimate = float(difference[pair, layer])
    return CurveDifference(
        first=first,
        second=second,
        layer=int(layer),
        means=(float(means[first, layer]), float(means[second, layer])),
        estimate=estimate,
        lo=estimate - float(reach[pair, layer]),
        hi=estimate + float(reach[pair, layer]),
        p=max(rank_p(float(z.max()), null) for null in nulls),
        farthest=float((np.abs(difference) + reach).max()),
        seen=float(np.median((factor + scipy.stats.norm.ppf(POWER)) * error)),
    )


def _cells(values: Floats, kinds: Ints, groups: Ints) -> tuple[Floats, Ints, Ints]:
    """Return the mean curve of every kind in every group, with its kind and group."""
    pairs, cell = np.unique(np.stack([kinds, groups], 1), axis=0, return_inverse=True)
    numbers = np.unique(pairs[:, 1], return_inverse=True)[1]
    return _means(values, cell.ravel()), pairs[:, 0], numbers


def _means(values: Floats, groups: Ints) -> Floats:
    hot = (groups == np.arange(groups.max() + 1)[:, None]).astype(float)
    means: Floats = hot @ values / hot.sum(1, keepdims=True)
    return means


def _is_complete(kinds: Ints, groups: Ints) -> bool:
    """Return whether every group has every kind."""
    return len(kinds) == (int(kinds.max()) + 1) * (int(groups.max()) + 1)


def _shuffled(kinds: Ints, groups: Ints | None, rng: np.random.Generator) -> Ints:
    """Return kinds in random order, each group's among its own texts if groups are given."""
    if groups is None:
        mixed: Ints = rng.permutation(kinds)
        return mixed
    shuffled = np.empty_like(kinds)
    shuffled[np.lexsort((rng.random(len(kinds)), groups))] = kinds[np.argsort(groups, kind="stable")]
    return shuffled


def _pairs(kinds: int) -> list[tuple[int, int]]:
    return [(first, second) for first in range(kinds) for second in range(first + 1, kinds)]


def _as_normal(difference: Floats, error: Floats, freedom: Floats) -> Floats:
    """Return the normal quantiles with the same tails as |t|."""
    t = np.abs(difference) / np.maximum(error, ROUNDING)
    z: Floats = -scipy.special.ndtri_exp(scipy.stats.t.logsf(t, freedom))
    return z


def _nulls(
    values: Floats, kinds: Ints, groups: Ints | None, shuffles: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return the largest quantile (B,) of shuffled kinds, and of residuals with random signs (one per group)."""
    orders = np.array([_shuffled(kinds, groups, rng) for _ in range(shuffles)])
    units = np.arange(len(kinds)) if groups is None else groups
    signs = rng.choice([-1.0, 1.0], (shuffles, units.max() + 1))[:, units]
    residuals = values - _means(values, kinds)[kinds]
    of_kind = (kinds == np.arange(kinds.max() + 1)[:, None]).astype(float)
    n = of_kind.sum(1)[:, None]
    flipped = _contrasts((of_kind * signs[:, None]) @ residuals / n, (of_kind @ residuals**2 / n)[None], n[None])
    shuffled, wild = (_as_normal(*parts).max((1, 2)) for parts in (_shuffles(values, orders), flipped))
    return shuffled, wild


def _shuffles(values: Floats, orders: Ints) -> tuple[Floats, Floats, Floats]:
    """Return the contrasts of every row of kinds, `orders` (B, n)."""
    centred = values - values.mean(0)
    of_kind = (orders[:, None] == np.arange(orders.max() + 1)[:, None]).astype(float)
    n = of_kind.sum(-1, keepdims=True)
    return _contrasts(of_kind @ centred / n, of_kind @ centred**2 / n, n)


def _contrasts(mean: Floats, square: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    """Return differences of means, their standard errors and degrees of freedom, (B, pairs, L).

    `mean`, `square`: means of kinds and of their squares, (B, kinds, L); `n`: texts, (B, kinds, 1).
    """
    error = np.maximum(square - mean**2, 0) / (n - 1)
    first, second = np.array(_pairs(mean.shape[1])).T
    whole = error[:, first] + error[:, second]
    parts = error[:, first] ** 2 / (n[:, first] - 1) + error[:, second] ** 2 / (n[:, second] - 1)
    least = np.minimum(n[:, first], n[:, second]) - 1
    freedom = np.divide(whole**2, parts, out=np.broadcast_to(least, whole.shape).copy(), where=parts > 0)
    return mean[:, first] - mean[:, second], np.sqrt(whole), freedom
