"""P-values, and corrections for multiple tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING, Z95

# Credits of 1/k, for k up to 6, are integers in units of 1 / CREDIT_PARTS.
CREDIT_PARTS = 60


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p-values, in the given order."""
    out, running = [0.0] * len(ps), 0.0
    for rank, i in enumerate(np.argsort(ps)):
        running = max(running, min(1.0, (len(ps) - rank) * ps[i]))
        out[i] = running
    return out


def false_discovery(ps: Sequence[float]) -> list[float]:
    """Return Benjamini and Hochberg's (1995) adjusted p-values, in the given order; NaN for a missing p-value.

    Of the findings with an adjusted value of at most 0.05, at most 5 % are expected to be false, if tests are
    independent or positively dependent (Benjamini and Yekutieli 2001).
    """
    values = np.asarray(ps, np.float64)
    adjusted = np.full(len(values), np.nan)
    tested = np.isfinite(values)
    if tested.any():
        adjusted[tested] = scipy.stats.false_discovery_control(values[tested])
    return [float(q) for q in adjusted]


def rank_p(observed: float, null: Floats) -> float:
    """Return the one-sided p-value of a number by its rank among those of a null (B,), at least 1 / (1 + B).

    Larger is more extreme, and ties count as extreme. So does a comparison with a number that is missing (NaN): what
    could not be measured is no evidence, and p is 1 if `observed` is NaN.
    """
    return (1 + int((~(null < observed - ROUNDING)).sum())) / (1 + len(null))


def two_sided_rank(observed: float, null: Floats) -> float:
    """Return the two-sided p-value of a number among those of a null (B,): twice the smaller one-sided (`rank_p`)."""
    return min(1.0, 2 * min(rank_p(observed, null), rank_p(-observed, -null)))


def two_sided(draws: Floats) -> float:
    """Return the two-sided bootstrap p-value of zero, at least 2 / (1 + B) for B draws."""
    return two_sided_rank(0.0, draws)


def normal_tail(z: float) -> float:
    """Return the upper tail probability of a standard normal at z."""
    return float(scipy.stats.norm.sf(z))


def two_sided_z(estimate: float, spread: float, draws: int) -> float:
    """Return the two-sided normal p-value of an estimate with standard error `spread`, at least 1 / `draws`."""
    return float(min(1.0, max(1 / draws, 2 * normal_tail(abs(estimate) / max(spread, ROUNDING)))))


def two_sided_t(estimate: float, spread: float, freedom: float) -> float:
    """Return the two-sided p-value of a mean of groups, by Student's t; 1 without a degree of freedom.

    `spread` is the standard deviation of draws that are widened for few groups (`intervals.widened`), so that p is 0.05
    where the normal 95 % interval ends at 0. Further out the normal tail is too thin: several times at a p of 0.005 and
    8 groups. Unlike a share of draws, the tail can pass a correction for many tests however few draws there are.
    `freedom`: one less than the groups, or fewer for a mean of sets of different sizes.
    """
    if freedom < 1:
        return 1.0
    t = scipy.stats.t(freedom)
    return float(2 * t.sf(abs(estimate) / max(spread, ROUNDING) * t.ppf(0.975) / Z95))


def sign_flip(sums: Floats) -> float:
    """Return the exact two-sided p-value of the groups' changes (G,): the share of sign patterns with as large a sum.

    Under the null each group's change has either sign with equal probability (Fisher's randomisation test). With G
    groups no p-value is below 2^(1 - G), whereas a bootstrap of few groups could support changes that random signs
    would also give. Changes are rounded to multiples of 1/60, which is exact for sums of credits of 1/k with k up to 6.
    The distribution of the sum is then a convolution of G two-point distributions.
    """
    units = np.rint(sums * CREDIT_PARTS).astype(np.int64)
    sizes = np.abs(units[units != 0])
    if not len(sizes):
        return 1.0
    unit = np.gcd.reduce(sizes)
    sizes, observed = sizes // unit, abs(int(units.sum())) // int(unit)
    # probability[k]: the probability that the changes with positive sign sum to k.
    probability = np.zeros(int(sizes.sum()) + 1)
    probability[0] = 1.0
    for size in sizes:
        probability = probability / 2 + np.concatenate([np.zeros(size), probability[:-size]]) / 2
    extreme = np.abs(2 * np.arange(len(probability)) - sizes.sum()) >= observed
    return float(min(1.0, probability[extreme].sum()))
