"""Does the peak beat surface features, which need no model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import MARGIN
from layeratlas.stats.verdicts import Effect, holm_corrected
from layeratlas.studies.hierarchy.findings.gain import NO_FLOOR, Floor, peak_gain
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """The comparison of a peak with the best surface feature, and the name of this feature."""

    feature: str
    level: float
    effect: Effect


def surface_findings(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return whether each peak beats the best surface feature: words, lengths, or the embedding (point 0).

    The baseline is resampled over the same groups as the curve; p is two-sided, Holm-corrected over the curves.
    """
    comparisons = [_compare(curve) for curve in curves]
    effects = holm_corrected([comparison.effect for comparison in comparisons])
    return [
        _surface_finding(curve, comparison, effect, phrasing)
        for curve, comparison, effect in zip(curves, comparisons, effects, strict=True)
    ]


def _compare(curve: Curve) -> _Comparison:
    reference = np.zeros(len(curve.estimate))
    # `>=` would be wrong: without a baseline (NaN) the embedding must be the reference.
    if curve.component == "resid" and not curve.estimate[0] < curve.baseline:
        reference[0] = 1
        effect = peak_gain(curve, reference, NO_FLOOR)
        return _Comparison(feature="the token embedding (point 0)", level=float(curve.estimate[0]), effect=effect)
    floor = Floor(estimate=curve.baseline)
    if curve.baseline_draws.size:
        floor = Floor(estimate=curve.baseline, draws=curve.baseline_draws)
    effect = peak_gain(curve, reference, floor)
    return _Comparison(feature="words and lengths alone", level=curve.baseline, effect=effect)


def _surface_finding(curve: Curve, comparison: _Comparison, effect: Effect, phrasing: Phrasing) -> Finding:
    verdict = effect.verdict(margin=MARGIN)
    peak = f"the peak of {phrasing.level(curve.level)} in {COMPONENT_NAMES[curve.component]}"
    feature = f"{comparison.feature} ({comparison.level:.2f})"
    beginnings = {
        "supported": f"{capitalised(peak)} beats {feature}: gain",
        "not supported": f"{capitalised(peak)} gains less than {MARGIN} on {feature}:",
        "inconclusive": f"Whether {peak} beats {comparison.feature} is undecided ({comparison.level:.2f} there; "
        f"{effect.could_have_seen}): gain",
    }
    statement = f"{beginnings[verdict]} {effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}]."
    null = f"the peak equals {comparison.feature}"
    return curve_finding(
        HierarchyFinding.SURFACE, curve, statement=statement, effect=effect, null=null, verdict=verdict
    )
