"""Do neighbouring layers coordinate? The published statistics, and versions that noise and a shared hump cannot fake.

The published numbers are the lag-1 autocorrelation of differenced z-scored curves, and the mean correlation of these
across experiments. Independent noise alone gives a lag-1 of -0.5, and a broad hump that all curves share gives a
positive correlation. So the correlation is also taken of second differences, which remove the hump, against circular
shifts of each curve, and between halves of disjoint groups. A peak of a few layers' width that all curves share still
counts as moving together: only a broad hump is removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.hierarchy.profiles import z_scores
from layeratlas.studies.hierarchy.words import NAMES

_SHIFTS, _HALVES, _FEWEST, _NOISE = 5000, 50, 3, 2000


@dataclass(frozen=True)
class Coordination:
    """The statistics of m curves of one component.

    `lag1`: mean lag-1 autocorrelation of first differences (about -0.5 under independent noise). `matrix` (m, m):
    correlations of first differences. `first`, `second`, `split`: mean off-diagonal correlation of first differences,
    of second differences, and of second differences between disjoint halves; each with the p-value of independent
    circular shifts. `lo, hi`: 95 % of `second` under the shifts.
    """

    lag1: float
    matrix: Floats
    first: float
    first_p: float
    second: float
    second_p: float
    split: float
    split_p: float
    lo: float
    hi: float


def lag_one(values: Floats) -> Floats:
    """Return the lag-1 autocorrelation of the rows of `values` (..., T)."""
    centred = values - values.mean(-1, keepdims=True)
    power = (centred**2).sum(-1)
    out: Floats = (centred[..., 1:] * centred[..., :-1]).sum(-1) / np.maximum(power, 1e-12)
    return out


def coordination(estimates: Floats, halves: tuple[Floats, Floats] | None, seed: int = 0) -> Coordination:
    """Return the statistics of z-scored curves: estimates (m, T), halves (H, m, T) on disjoint groups.

    Correlations are Spearman's. Without halves, `split` is NaN and its p is 1.
    """
    rng = np.random.default_rng([seed, 13])
    one, two = (np.diff(estimates, n, axis=-1) for n in (1, 2))
    table = _shifted(one, one)
    first, first_p, _ = _against_shifts(table, rng)
    second, second_p, null = _against_shifts(_shifted(two, two), rng)
    split, split_p = float("nan"), 1.0
    if halves is not None:
        a, b = (np.diff(half, 2, axis=-1) for half in halves)
        between = np.mean([_shifted(x, y) for x, y in zip(a, b, strict=True)], axis=0)
        split, split_p, _ = _against_shifts(between, rng)
    lo, hi = np.percentile(null, [2.5, 97.5])
    return Coordination(
        float(lag_one(one).mean()),
        table[:, :, 0],
        first,
        first_p,
        second,
        second_p,
        split,
        split_p,
        float(lo),
        float(hi),
    )


def noise_lags(curves: int, points: int, seed: int = 0) -> Floats:
    """Return the mean lag-1 autocorrelation of so many curves of independent noise, differenced; (draws,)."""
    noise = np.random.default_rng([seed, 17]).standard_normal((_NOISE, curves, points))
    means: Floats = lag_one(np.diff(noise, axis=-1)).mean(-1)
    return means


def _shifted(a: Floats, b: Floats) -> Floats:
    """Return (m, m, T): the rank correlation of row i of `a` with row j of `b` shifted circularly by t."""
    x, y = (_unit(scipy.stats.rankdata(part, axis=-1)) for part in (a, b))
    return np.stack([x @ np.roll(y, t, axis=-1).T for t in range(y.shape[-1])], -1)


def _unit(values: Floats) -> Floats:
    centred = values - values.mean(-1, keepdims=True)
    out: Floats = centred / np.maximum(np.linalg.norm(centred, axis=-1, keepdims=True), 1e-12)
    return out


def _against_shifts(table: Floats, rng: np.random.Generator) -> tuple[float, float, Floats]:
    """Return the mean off-diagonal correlation, its one-sided p under independent circular shifts, and the null."""
    m, _, steps = table.shape
    i, j = np.triu_indices(m, 1)
    both = np.concatenate([i, j]), np.concatenate([j, i])
    observed = float(table[*both, 0].mean())
    shifts = rng.integers(0, steps, (_SHIFTS, m))
    null = table[*both, (shifts[:, both[1]] - shifts[:, both[0]]) % steps].mean(1)
    return observed, float((1 + (null >= observed - 1e-12).sum()) / (1 + _SHIFTS)), null


def coordination_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return two findings for the task curves of one component: across-experiment consistency, and anti-persistence.

    Consistency is supported only where second differences pass the shift test on the whole sample and between
    disjoint halves. The curves must come from disjoint texts, or from tasks of one level, whose halves are split
    together: shared texts share estimation noise, which imitates coordination.
    """
    if len(curves) < _FEWEST:
        return []
    component, level = curves[0].component, "all experiments"
    z = z_scores(np.stack([c.estimate for c in curves]), component)
    halves = tuple(
        z_scores(np.stack([getattr(c, side)[:_HALVES] for c in curves], 1), component) for side in ("half_a", "half_b")
    )
    found = coordination(z, (halves[0], halves[1]))
    both = found.second_p <= 0.05 and found.split_p <= 0.05 and found.split > 0
    verdict: Verdict = "supported" if both else "not supported" if found.second < found.hi else "inconclusive"
    says = {"supported": "move together", "not supported": "do not move together"}.get(verdict, "may move together")
    n = sum(c.n for c in curves)
    text = (
        f"Curves of {len(curves)} experiments {says} from layer to layer in {NAMES[component]}: mean correlation of "
        f"second differences {found.second:.2f} (95 % under circular shifts {found.lo:.2f} to {found.hi:.2f}), between "
        f"disjoint halves {found.split:.2f} (p = {found.split_p:.3f}); of first differences, as published, "
        f"{found.first:.2f} (the paper: 0.31 at 70B, 0.06 at 3B), which a shared hump alone can give."
    )
    return [
        Finding(
            "coordination", level, component, curves[0].method, text, found.second, found.lo, found.hi,
            max(found.second_p, found.split_p), "independent circular shifts of each curve", verdict, n,
        ),
        _lag_finding(curves, z, found.lag1),
    ]  # fmt: skip


def _lag_finding(curves: Sequence[Curve], z: Floats, lag: float) -> Finding:
    """Return whether differences alternate more than those of independent noise, which alternate by themselves."""
    null = noise_lags(*z.shape)
    lo, hi = (float(end) for end in np.percentile(null, [2.5, 97.5]))
    tail = min(int((null <= lag).sum()), int((null >= lag).sum()))
    verdict: Verdict = "supported" if lag < lo else "not supported" if lag > hi else "inconclusive"
    says = {
        "supported": "alternate more than those of independent noise",
        "not supported": "alternate less than those of independent noise: the curves are smooth",
    }.get(verdict, "alternate as those of independent noise do")
    text = (
        f"Differences of neighbouring layers in {NAMES[curves[0].component]} {says}: lag-1 autocorrelation {lag:.2f} "
        f"(the paper: -0.41 at 3B), noise alone {lo:.2f} to {hi:.2f}."
    )
    return Finding(
        "anti-persistence", "all experiments", curves[0].component, curves[0].method, text, lag, lo, hi,
        min(1.0, 2 * (1 + tail) / (1 + len(null))), "independent noise at every layer", verdict,
        sum(c.n for c in curves),
    )  # fmt: skip
