"""Do layers coordinate, that is, do neighbouring layers alternate in their specialisation? (H4)

The published statistics are the lag-1 autocorrelation of differenced z-scored curves, and its mean correlation across
tasks. However, independent noise alone gives a lag-1 autocorrelation of -0.5, and any effect of a layer that all tasks
share (a broad hump, a common order of layers) gives a positive correlation. The verdict is therefore based on the
component of each layer that tasks do not share (`stats.alternation`); statements also report the published statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.alternation import FEWEST_POINTS, alternation
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.tests import two_sided_rank
from layeratlas.stats.verdicts import Effect, decide
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.profiles import z_scores

# Number of draws of independent noise.
_NOISE_DRAWS = 2000
# Two tasks are too few: their specialisations would be exactly opposite.
_FEWEST_CURVES = 3
# The level name of these findings, which cover all tasks together.
_LEVEL = "all experiments"


def lag_one(values: Floats) -> Floats:
    """Return the lag-1 autocorrelation of the rows of `values` (..., T)."""
    centred = values - values.mean(-1, keepdims=True)
    power = (centred**2).sum(-1)
    correlation: Floats = (centred[..., 1:] * centred[..., :-1]).sum(-1) / np.maximum(power, ROUNDING)
    return correlation


def noise_lags(curves: int, points: int, seed: int = 0) -> Floats:
    """Return draws of the mean lag-1 autocorrelation of first differences under independent noise."""
    noise = np.random.default_rng([seed, 17]).standard_normal((_NOISE_DRAWS, curves, points))
    means: Floats = lag_one(np.diff(noise, axis=-1)).mean(-1)
    return means


def published_correlation(z: Floats) -> float:
    """Return the mean rank correlation of first differences over pairs of z-scored curves (m, T), as published."""
    ranks = scipy.stats.rankdata(np.diff(z, axis=-1), axis=-1)
    return float(np.corrcoef(ranks)[np.triu_indices(len(z), 1)].mean())


def coordination_findings(curves: Sequence[Curve]) -> list[Finding]:
    """Return two findings for the task curves of one component; empty for too few curves or layers.

    Coordination: do neighbouring layers alternate in their specialisation? Anti-persistence: do differences alternate
    more than noise? The curves must come from disjoint texts, or from tasks of one level, whose halves are split
    together, because curves of shared texts share estimation noise. A curve that is the same at all layers (at its
    ceiling) specialises nowhere, and is left out.
    """
    curves = [curve for curve in curves if np.ptp(z_scores(curve.estimate, curve.component)) > 0]
    if len(curves) < _FEWEST_CURVES:
        return []
    z = z_scores(np.stack([curve.estimate for curve in curves]), curves[0].component)
    if z.shape[-1] < FEWEST_POINTS:
        return []
    return [
        _coordination_finding(curves, z),
        _persistence_finding(curves, float(lag_one(np.diff(z)).mean()), z.shape[-1]),
    ]


def _coordination_finding(curves: Sequence[Curve], z: Floats) -> Finding:
    component = curves[0].component
    half_a, half_b = (np.stack([getattr(curve, half) for curve in curves], 1) for half in ("half_a", "half_b"))
    inner = slice(1, None) if component == "resid" else slice(None)  # as in the z-scores
    effect = alternation(half_a[..., inner], half_b[..., inner])
    verdict = effect.verdict()
    beginnings = {
        "supported": "Neighbouring layers take turns in what they specialise in",
        "not supported": "Neighbouring layers specialise in the same tasks (the opposite of taking turns)",
        "inconclusive": f"Whether neighbouring layers take turns in what they specialise in is undecided "
        f"({effect.could_have_seen})",
    }
    statement = (
        f"{beginnings[verdict]} in {COMPONENT_NAMES[component]}, {len(curves)} tasks: {effect.estimate:+.2f} "
        f"[{effect.lo:+.2f}, {effect.hi:+.2f}], positive where opposite, negative where alike. Mean correlation of "
        f"first differences {published_correlation(z):.2f} (the paper: 0.31 at 70B, 0.06 at 3B), which anything that "
        f"tasks share gives."
    )
    return curve_finding(
        HierarchyFinding.COORDINATION,
        Subject.of(_LEVEL, *curves),
        statement=statement,
        effect=effect,
        null="what a layer specialises in is unrelated to its neighbours (random rotations of specialisations)",
        verdict=verdict,
    )


def _persistence_finding(curves: Sequence[Curve], lag: float, points: int) -> Finding:
    """Return whether differences alternate more than those of independent noise, which also alternate."""
    null = noise_lags(len(curves), points)
    lo, hi = (float(end) for end in percentile_interval(null))
    verdict = decide(shown=lag < lo, refuted=lag > hi)
    verbs = {
        "supported": "alternate more than independent noise",
        "not supported": "alternate less than independent noise (smooth curves)",
        "inconclusive": "alternate within the range of independent noise",
    }
    statement = (
        f"Differences between neighbouring layers of {COMPONENT_NAMES[curves[0].component]} {verbs[verdict]}: lag-1 "
        f"autocorrelation {lag:.2f} (the paper: -0.41 at 3B), independent noise {lo:.2f} to {hi:.2f}."
    )
    return curve_finding(
        HierarchyFinding.ANTI_PERSISTENCE,
        Subject.of(_LEVEL, *curves),
        statement=statement,
        effect=Effect(estimate=lag, lo=lo, hi=hi, p=two_sided_rank(lag, null)),
        null="independent noise at every layer",
        verdict=verdict,
    )
