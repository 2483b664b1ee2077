"""Intervals, and the constants used by every interval and verdict, each with its source."""

from __future__ import annotations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats

# Quantiles of the standard normal at 0.975 and 0.95: the half-widths of 95 % and 90 % intervals in standard errors.
Z95 = 1.959964
Z90 = 1.644854
# The level of every test. A p-value at or below it, after correction, supports a finding.
ALPHA = 0.05
# The smallest difference in accuracy that matters: 2 points, the half-width of an interval at size `full`.
MARGIN = 0.02
# The factor by which retraining the probe widens the bootstrap spread of its scores, where the scores themselves do not
# show it (`stats.refitting` measures it for classes): 1.05 to 1.1 in simulated runs with many texts per dimension.
TRAINING = 1.08
# Draws that differ by less than this count as equal (rounding).
ROUNDING = 1e-12


def percentile_interval(draws: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the percentile interval of bootstrap draws (B, ...), lo and hi each (...)."""
    tail = 50 - 50 * level  # exact for 95 % and 90 %
    lo, hi = np.percentile(draws, [tail, 100 - tail], axis=0)
    return lo, hi


def rule_of_three(groups: int) -> float:
    """Return the reach of a 95 % interval if no group differs: 3 / G (Hanley and Lippman-Hand 1983).

    If none of G groups has an event, the rate of events is below 3 / G with 95 % confidence: (1 - 3 / G)^G is about
    0.05.
    """
    return 3 / max(groups, 1)


def one_group(groups: int) -> float:
    """Return the smallest standard error that G groups can resolve: 1 / G, the effect of one group."""
    return 1 / max(groups, 1)


def draws_interval(
    draws: Floats, groups: int, *, least: float = -np.inf, most: float = np.inf
) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of draws (B, ...), within `least` and `most`.

    If all draws are equal (for example, no question changed sides), they cannot show rarer changes, and the interval
    reaches `rule_of_three` beyond them. With one group the draws are always equal and say nothing about other groups;
    the interval is then as wide as possible.
    """
    lo, hi = percentile_interval(draws)
    if groups < 2:
        return np.full_like(lo, least), np.full_like(hi, most)
    reach = np.where(hi - lo < ROUNDING, rule_of_three(groups), 0.0)
    return np.maximum(lo - reach, least), np.minimum(hi + reach, most)


def share_interval(estimate: Floats, draws: Floats, groups: int, items: int) -> tuple[Floats, Floats]:
    """Return the 95 % interval of shares (...) of `items` from draws (B, ...): Wilson's (1927), by effective size.

    It contains the shares p within z standard errors of the estimate, where the standard error is the one that p itself
    would have: that of the draws times sqrt(p (1 - p) / (estimate (1 - estimate))). The draws determine an effective
    number of independent items, at most the number of items (Korn and Graubard 1998; Dean and Pagano 2015): groups that
    are alike by chance or by design do not show how far other groups differ. Near 0 and 1, Wald's and mirrored
    intervals miss on the far side: the luckier the estimate, the fewer failures there are and the smaller is the error
    of the draws. If all draws are equal, at an estimate of 0 or 1, and with one group, the result is `draws_interval`.
    """
    lo, hi = draws_interval(draws, groups, least=0.0, most=1.0)
    if groups < 2:
        return lo, hi
    spread, error = estimate * (1 - estimate), draws.std(0)
    degenerate = (spread < ROUNDING) | (error < ROUNDING)
    ratio = Z95**2 * np.maximum(error**2 / np.where(degenerate, 1.0, spread), 1 / items)
    centre = (estimate + ratio / 2) / (1 + ratio)
    reach = np.sqrt(ratio * spread + ratio**2 / 4) / (1 + ratio)
    low, high = np.where(degenerate, lo, centre - reach), np.where(degenerate, hi, centre + reach)
    return np.clip(low, 0.0, estimate), np.clip(high, estimate, 1.0)


def mean_interval(draws: Floats, n: int) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of draws (B, ...) of a mean of n values; NaN if n is 1."""
    lo, hi = percentile_interval(draws)
    return (lo, hi) if n > 1 else (np.full_like(lo, np.nan), np.full_like(hi, np.nan))


def few_groups(groups: int, times: float = 1.0) -> float:
    """Return the factor by which the percentile bootstrap of G groups is too narrow, multiplied by `times`.

    The factor is sqrt(G / (G - 1)) t(0.975, G - 1) / z(0.975) (Cameron, Gelbach and Miller 2008): 1.2 at 10 groups,
    1.02 at 100.
    """
    g = max(groups, 2)
    return float(times * np.sqrt(g / (g - 1)) * scipy.stats.t.ppf(0.975, g - 1) / scipy.stats.norm.ppf(0.975))


def widened(
    estimate: Floats,
    draws: Floats,
    n_groups: int,
    *,
    times: Floats | float,
    least: float = -np.inf,
    most: float = np.inf,
) -> Floats:
    """Return bootstrap draws (B, ...) widened for a small number of groups and for the training of the probe.

    The bootstrap resamples scores but not the training of the probe, hence the factor `times`: an array (...) or one
    number. It is 1 without a probe, or with a probe that no resampled text has trained.
    """
    wide: Floats = np.clip(estimate + (draws - estimate) * (few_groups(n_groups) * times), least, most)
    return wide
