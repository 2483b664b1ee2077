"""Do neighbouring layers coordinate? (H4)

The published statistics, and versions that are robust to noise and to a hump that all curves share.

The published statistics are the lag-1 autocorrelation of differenced z-scored curves, and the mean correlation of these
across tasks. Independent noise alone gives a lag-1 autocorrelation of -0.5, and a broad hump that all curves share
gives a positive correlation. The correlation is therefore also taken of second differences, which remove the hump,
against circular shifts of each curve, and between disjoint halves of the groups. A shared peak a few layers wide still
counts as moving together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ALPHA, ROUNDING, percentile_interval
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, Kind
from layeratlas.studies.hierarchy.profiles import z_scores

# Draws of circular shifts, and of independent noise.
_SHIFTS, _NOISE_DRAWS = 5000, 2000
# Random halves of the groups over which the split correlation is averaged.
_HALVES = 50
# With two curves there is one correlation, and its null has only as many values as there are layers.
_FEWEST_CURVES = 3
# The level of these findings, which are about all tasks together.
_LEVEL = "all experiments"


@dataclass(frozen=True, kw_only=True)
class ShiftTest:
    """A mean correlation across curves, its one-sided p-value under independent circular shifts, and that null (S,)."""

    correlation: float
    p: float
    null: Floats


@dataclass(frozen=True, kw_only=True)
class CoordinationStatistics:
    """How the curves of one component move together.

    `lag`: mean lag-1 autocorrelation of first differences (about -0.5 under independent noise). The others are mean
    correlations across curves: of first differences, as published; of second differences; and of second differences
    between disjoint halves of the groups.
    """

    lag: float
    first_differences: ShiftTest
    second_differences: ShiftTest
    between_halves: ShiftTest

    @property
    def p(self) -> float:
        """The larger p-value of the two tests that coordination must pass."""
        return max(self.second_differences.p, self.between_halves.p)

    @property
    def verdict(self) -> Verdict:
        """`supported` by both tests; `not supported` by a correlation inside the null's 95 % interval."""
        if self.p <= ALPHA and self.between_halves.correlation > 0:
            return "supported"
        _, hi = percentile_interval(self.second_differences.null)
        return "not supported" if self.second_differences.correlation < hi else "inconclusive"


def lag_one(values: Floats) -> Floats:
    """Return the lag-1 autocorrelation of the rows of `values` (..., T)."""
    centred = values - values.mean(-1, keepdims=True)
    power = (centred**2).sum(-1)
    correlation: Floats = (centred[..., 1:] * centred[..., :-1]).sum(-1) / np.maximum(power, ROUNDING)
    return correlation


def coordination_statistics(z: Floats, half_a: Floats, half_b: Floats, seed: int = 0) -> CoordinationStatistics:
    """Return the statistics of z-scored curves (m, T) and of the same curves on disjoint halves of the groups.

    half_a, half_b: (H, m, T), H random splits. Correlations are Spearman's.
    """
    rng = np.random.default_rng([seed, 13])
    first, second = (np.diff(z, n, axis=-1) for n in (1, 2))
    a, b = (np.diff(half, 2, axis=-1) for half in (half_a, half_b))
    between = np.mean([_shifted_correlations(x, y) for x, y in zip(a, b, strict=True)], axis=0)
    return CoordinationStatistics(
        lag=float(lag_one(first).mean()),
        first_differences=_shift_test(_shifted_correlations(first, first), rng),
        second_differences=_shift_test(_shifted_correlations(second, second), rng),
        between_halves=_shift_test(between, rng),
    )


def noise_lags(curves: int, points: int, seed: int = 0) -> Floats:
    """Return draws of the mean lag-1 autocorrelation of first differences under independent noise."""
    noise = np.random.default_rng([seed, 17]).standard_normal((_NOISE_DRAWS, curves, points))
    means: Floats = lag_one(np.diff(noise, axis=-1)).mean(-1)
    return means


def _shifted_correlations(a: Floats, b: Floats) -> Floats:
    """Return (m, m, T): the rank correlation of row i of `a` with row j of `b` shifted circularly by t."""
    x, y = (_unit(scipy.stats.rankdata(rows, axis=-1)) for rows in (a, b))
    return np.stack([x @ np.roll(y, t, axis=-1).T for t in range(y.shape[-1])], -1)


def _unit(values: Floats) -> Floats:
    """Return rows centred and scaled to length 1."""
    centred = values - values.mean(-1, keepdims=True)
    unit: Floats = centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), ROUNDING)
    return unit


def _shift_test(correlations: Floats, rng: np.random.Generator) -> ShiftTest:
    """Return the test of the mean correlation of different curves, from all shifted correlations (m, m, T)."""
    m, _, steps = correlations.shape
    i, j = np.triu_indices(m, 1)
    rows, columns = np.concatenate([i, j]), np.concatenate([j, i])
    observed = float(correlations[rows, columns, 0].mean())
    shifts = rng.integers(0, steps, (_SHIFTS, m))
    null = correlations[rows, columns, (shifts[:, columns] - shifts[:, rows]) % steps].mean(1)
    p = float((1 + (null >= observed - ROUNDING).sum()) / (1 + _SHIFTS))
    return ShiftTest(correlation=observed, p=p, null=null)


def coordination_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return two findings for the task curves of one component, none for fewer than three curves.

    Coordination: do the curves move together from layer to layer? Anti-persistence: do they alternate more than noise?
    The curves must come from disjoint texts, or from tasks of one level, whose halves are split together: shared texts
    share estimation noise, which imitates coordination.
    """
    if len(curves) < _FEWEST_CURVES:
        return []
    component = curves[0].component
    z = z_scores(np.stack([curve.estimate for curve in curves]), component)
    half_a = z_scores(np.stack([curve.half_a[:_HALVES] for curve in curves], 1), component)
    half_b = z_scores(np.stack([curve.half_b[:_HALVES] for curve in curves], 1), component)
    statistics = coordination_statistics(z, half_a, half_b)
    return [_coordination_finding(curves, statistics), _alternation_finding(curves, statistics.lag, z.shape[-1])]


def _coordination_finding(curves: Sequence[Curve], statistics: CoordinationStatistics) -> Finding:
    first, second, halves = statistics.first_differences, statistics.second_differences, statistics.between_halves
    lo, hi = percentile_interval(second.null)
    verdict = statistics.verdict
    verbs = {"supported": "move together", "not supported": "do not move together"}
    statement = (
        f"Curves of {len(curves)} tasks {verbs.get(verdict, 'may move together')} from layer to layer in "
        f"{COMPONENT_NAMES[curves[0].component]}: mean correlation of second differences {second.correlation:.2f} "
        f"(95 % under circular shifts: {lo:.2f} to {hi:.2f}), between disjoint halves {halves.correlation:.2f} "
        f"(p = {halves.p:.3f}); of first differences, as published, {first.correlation:.2f} (the paper: 0.31 at 70B, "
        f"0.06 at 3B), which a shared hump alone can give."
    )
    return Finding(
        finding=Kind.COORDINATION,
        level=_LEVEL,
        component=curves[0].component,
        method=curves[0].method,
        statement=statement,
        estimate=second.correlation,
        lo=float(lo),
        hi=float(hi),
        p=statistics.p,
        null="independent circular shifts of each curve",
        verdict=verdict,
        n=sum(curve.n for curve in curves),
    )


def _alternation_finding(curves: Sequence[Curve], lag: float, points: int) -> Finding:
    """Return whether differences alternate more than those of independent noise, which alternate by themselves."""
    null = noise_lags(len(curves), points)
    lo, hi = (float(end) for end in percentile_interval(null))
    tail = min(int((null <= lag).sum()), int((null >= lag).sum()))
    verdict: Verdict = "supported" if lag < lo else "not supported" if lag > hi else "inconclusive"
    verbs = {
        "supported": "alternate more than independent noise",
        "not supported": "alternate less than independent noise (smooth curves)",
        "inconclusive": "alternate as much as independent noise",
    }
    statement = (
        f"Differences between neighbouring layers of {COMPONENT_NAMES[curves[0].component]} {verbs[verdict]}: lag-1 "
        f"autocorrelation {lag:.2f} (the paper: -0.41 at 3B), independent noise {lo:.2f} to {hi:.2f}."
    )
    return Finding(
        finding=Kind.ANTI_PERSISTENCE,
        level=_LEVEL,
        component=curves[0].component,
        method=curves[0].method,
        statement=statement,
        estimate=lag,
        lo=lo,
        hi=hi,
        p=min(1.0, 2 * (1 + tail) / (1 + len(null))),
        null="independent noise at every layer",
        verdict=verdict,
        n=sum(curve.n for curve in curves),
    )
