"""Intervals, and the constants that every interval and verdict rests on, each with where it comes from."""

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
# What training the probe anew adds to the spread that a bootstrap of its scores shows, where the scores do not tell
# (`stats.refitting` measures it for classes): 1.05 to 1.1 in simulated runs whose texts are many for their dimensions.
TRAINING = 1.08
# Draws that differ by less than this all agree; what is left is rounding.
ROUNDING = 1e-12


def percentile_interval(draws: Floats, level: float = 0.95) -> tuple[Floats, Floats]:
    """Return the percentile interval of bootstrap draws (B, ...), lo and hi each (...)."""
    tail = 50 - 50 * level  # exact for 95 % and 90 %
    lo, hi = np.percentile(draws, [tail, 100 - tail], axis=0)
    return lo, hi


def rule_of_three(groups: int) -> float:
    """Return how far a 95 % interval reaches where no group differs: 3 / G (Hanley and Lippman-Hand 1983).

    Of G groups without an event, the rate of events is below 3 / G with 95 % confidence: (1 - 3 / G)^G is about 0.05.
    """
    return 3 / max(groups, 1)


def one_group(groups: int) -> float:
    """Return the smallest standard error that G groups can speak of: 1 / G, the effect of one group more or less."""
    return 1 / max(groups, 1)


def draws_interval(
    draws: Floats, groups: int, *, least: float = -np.inf, most: float = np.inf
) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of draws (B, ...), within `least` and `most`.

    Where all draws agree (no question changed sides, say), none shows rarer changes: the interval then reaches
    `rule_of_three` beyond them. One group, whose draws always agree, says nothing about others: the interval is all
    that is possible.
    """
    lo, hi = percentile_interval(draws)
    if groups < 2:
        return np.full_like(lo, least), np.full_like(hi, most)
    reach = np.where(hi - lo < ROUNDING, rule_of_three(groups), 0.0)
    return np.maximum(lo - reach, least), np.minimum(hi + reach, most)


def share_interval(estimate: Floats, draws: Floats, groups: int) -> tuple[Floats, Floats]:
    """Return the 95 % interval of shares (...) from their draws (B, ...): Wilson's (1927), by effective sample size.

    It holds the shares p that lie within z standard errors of the estimate, each with the standard error that p itself
    would have: that of the draws times sqrt(p (1 - p) / (estimate (1 - estimate))). The draws stand for a sample of so
    many independent items (Korn and Graubard 1998; Dean and Pagano 2015). Near 0 and 1, where the number of failures
    and with it the error of the draws is smallest when the estimate is luckiest, Wald's and mirrored intervals miss on
    the far side. Where the draws all agree, at 0 and 1, and of one group, it is `draws_interval`.
    """
    lo, hi = draws_interval(draws, groups, least=0.0, most=1.0)
    if groups < 2:
        return lo, hi
    spread, error = estimate * (1 - estimate), draws.std(0)
    degenerate = (spread < ROUNDING) | (error < ROUNDING)
    ratio = (Z95 * error) ** 2 / np.where(degenerate, 1.0, spread)
    centre = (estimate + ratio / 2) / (1 + ratio)
    reach = np.sqrt(ratio * spread + ratio**2 / 4) / (1 + ratio)
    low, high = np.where(degenerate, lo, centre - reach), np.where(degenerate, hi, centre + reach)
    return np.clip(low, 0.0, estimate), np.clip(high, estimate, 1.0)


def mean_interval(draws: Floats, n: int) -> tuple[Floats, Floats]:
    """Return the 95 % percentile interval of draws (B, ...) of a mean of n values; NaN where one is all there is."""
    lo, hi = percentile_interval(draws)
    return (lo, hi) if n > 1 else (np.full_like(lo, np.nan), np.full_like(hi, np.nan))


def few_groups(groups: int, times: float = 1.0) -> float:
    """Return by which factor the percentile bootstrap of so few groups is too narrow, times a factor.

    Cameron, Gelbach and Miller (2008): sqrt(G / (G - 1)) t(0.975, G - 1) / z(0.975): a fifth at 10 groups, 2 % at 100.
    """
    g = max(groups, 2)
    return float(times * np.sqrt(g / (g - 1)) * scipy.stats.t.ppf(0.975, g - 1) / scipy.stats.norm.ppf(0.975))


def widened(
    estimate: Floats,
    draws: Floats,
    n_groups: int,
    *,
    times: Floats | float = TRAINING,
    least: float = -np.inf,
    most: float = np.inf,
) -> Floats:
    """Return bootstrap draws (B, ...) spread as far as few groups, and a probe trained on them, ask for.

    The bootstrap resamples scores, not the training of the probe that gave them, hence `times` (...), or one number for
    all: 1 without a probe.
    """
    wide: Floats = np.clip(estimate + (draws - estimate) * (few_groups(n_groups) * times), least, most)
    return wide
