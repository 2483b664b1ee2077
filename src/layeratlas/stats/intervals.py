"""Intervals, and the constants used by every interval and verdict, each with its source."""

from __future__ import annotations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.design_effects import Effective, Shares, integrated_wilson, wilson

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
# With fewer groups the model of their answers decides how well their design effect is known, and claims too much.
_FEW_GROUPS = 5
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


def share_interval(
    estimate: Floats, draws: Floats, groups: int, of: Effective, times: Floats | float = 1.0
) -> tuple[Floats, Floats]:
    """Return the 95 % interval of shares (P,) from draws (B, P) of `widened` groups: Wilson's, by effective size.

    Wilson's interval (1927) contains the shares from which the estimate is at most z standard errors away, where the
    error is the one that the share itself would have. The error depends on how alike the answers of a group are: their
    design effect, estimated by the spread of the draws, and integrated out as far as `groups` do not show it
    (`design_effects`). With fewer than five effective groups of several items the interval is at least as wide as with
    the estimated effect and Student's t. `of`: the effective numbers of items and groups; `times`: a factor (P,) of the
    error that has nothing to do with groups, such as training. Draws that vary more than those of groups that are all
    right or all wrong have further sources of error, which widen the interval. If all draws are equal, at an estimate
    of 0 or 1, and with one group, the result is `draws_interval`.
    """
    lo, hi = draws_interval(draws, groups, least=0.0, most=1.0)
    spread, error = estimate * (1 - estimate), draws.std(0)
    known = (spread > ROUNDING) & (error > ROUNDING)
    if groups < 2:
        return lo, hi
    factor = np.broadcast_to(np.asarray(times, float), estimate.shape)[known]
    # The variance of a mean of groups from that of its bootstrap, which is smaller by (G - 1) / G.
    variance = (error[known] / (few_groups(groups) * factor)) ** 2 * groups / (groups - 1)
    design = variance * of.items / spread[known]
    most = max(of.items, of.groups) / max(of.groups - 1, ROUNDING) * (1 + 2 * np.sqrt(2 / len(draws)))  # by chance
    beyond = np.maximum(design / most, 1)
    shares = Shares(estimate[known], design / beyond, of, factor * np.sqrt(beyond))
    if known.any():
        lo[known], hi[known] = integrated_wilson(shares, Z95)
    if of.groups < min(_FEW_GROUPS, of.items) - ROUNDING:
        ratio = np.maximum(error[known] ** 2 / spread[known], factor**2 / of.items)
        low, high = wilson(estimate[known], 1 / ratio, Z95)
        lo[known], hi[known] = np.minimum(lo[known], low), np.maximum(hi[known], high)
    return np.clip(lo, 0.0, estimate), np.clip(hi, estimate, 1.0)


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
