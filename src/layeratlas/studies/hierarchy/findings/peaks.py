"""Is a level decoded above chance at any layer, and where does it decode best?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.peaks import Peak, find_peak
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, Kind
from layeratlas.studies.hierarchy.phrasing import Phrasing, measure, place


def peak_findings(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return one finding per curve.

    The null is the maximum over all layers and curves of the z-scored shuffled curves (Westfall and Young 1993), so p
    is corrected for every layer and curve searched.
    """
    null = np.full(min(len(curve.shuffles) for curve in curves), -np.inf)
    maxima = []
    for curve in curves:
        centre, spread = _control(curve)
        null = np.maximum(null, ((curve.shuffles - centre) / spread).max(1)[: len(null)])
        maxima.append(((curve.estimate - centre) / spread).max())
    return [
        _peak_finding(curve, (1 + float((null >= maximum).sum())) / (1 + len(null)), len(null), phrasing)
        for curve, maximum in zip(curves, maxima, strict=True)
    ]


def _control(curve: Curve) -> tuple[Floats, float]:
    """Return the mean of the shuffled curves at each layer (P,), and their spread pooled over layers."""
    return curve.shuffles.mean(0), np.sqrt(curve.shuffles.var(0).mean()) + ROUNDING


def _peak_finding(curve: Curve, p: float, shuffles: int, phrasing: Phrasing) -> Finding:
    peak = find_peak(curve)
    # Without an upper end: that one probe fails to decode a level never shows that the level is absent.
    verdict = Effect(estimate=peak.value, lo=peak.lo, p=p).verdict(null=curve.chance)
    lo, hi = percentile_interval(peak.depths)
    return Finding(
        finding=Kind.PEAK,
        level=curve.level,
        component=curve.component,
        method=curve.method,
        statement=_statement(curve, peak, verdict, phrasing),
        estimate=float(curve.depth[peak.layer]),
        lo=float(lo),
        hi=float(hi),
        p=p,
        null=f"the maximum over all layers and curves under {shuffles} label shuffles",
        verdict=verdict,
        n=curve.n,
    )


def _statement(curve: Curve, peak: Peak, verdict: Verdict, phrasing: Phrasing) -> str:
    subject, component = phrasing.decodes(curve.level), COMPONENT_NAMES[curve.component]
    interval = f"{measure(curve)} {peak.value:.2f} [{peak.lo:.2f}, {peak.hi:.2f}], chance {curve.chance:.2f}"
    if verdict == "supported":
        return f"{subject} best from {component} at {place(curve, peak)}: {interval}."
    return f"{subject} from no layer of {component} detectably above chance: at best {interval}."
