"""Is a level decoded above chance at any layer, and where does it decode best?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.peaks import Peak, ends_interval, find_peak
from layeratlas.stats.shuffling import shuffle_maxima, shuffle_p
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved, spread_out
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, RESIDUAL, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing, measure, place


def peak_findings(curves: Sequence[Curve], phrasing: Phrasing, moved: Moved = NOT_MOVED) -> list[Finding]:
    """Return one finding per curve, of all probes, levels and components of a run.

    The null distribution is the maximum of the z-scored shuffled curves over all layers and curves (Westfall and Young
    1993), for the first probe of each level and component. p is thereby corrected for every layer and curve searched;
    below one in S shuffles it is extrapolated from the shuffles' own distribution (`stats.shuffling`). Further probes
    test the same labels, so their p is at least that of the first probe (gatekeeping): the error rate of all probes
    together is that of the first one. `moved` widens the intervals of the depths in the residual stream.
    """
    first: dict[tuple[str, str], Curve] = {}
    for curve in curves:
        first.setdefault((curve.level, curve.component), curve)
    families: dict[str, list[Curve]] = {}
    for curve in curves:
        leads = curve is first[curve.level, curve.component]
        families.setdefault("" if leads else curve.method, []).append(curve)
    tests = {id(curve): test for family in families.values() for curve, test in _tests(family)}
    findings = []
    for curve in curves:
        test, gate = tests[id(curve)], tests[id(first[curve.level, curve.component])]
        error = moved.peak.get(curve.level, 0.0) if curve.component == RESIDUAL else 0.0
        both = _Test(p=max(test.p, gate.p), shuffles=test.shuffles)
        findings.append(_peak_finding(curve, both, phrasing, error))
    return findings


class _Test(NamedTuple):
    p: float
    shuffles: int


def _tests(curves: Sequence[Curve]) -> Iterator[tuple[Curve, _Test]]:
    """Yield each curve with its p-value among these curves."""
    shuffles = min(len(curve.shuffles) for curve in curves)
    maxima = np.stack([shuffle_maxima(curve.estimate, curve.shuffles[:shuffles]) for curve in curves])
    null = maxima[:, 1:].max(0)
    for curve, observed in zip(curves, maxima[:, 0], strict=True):
        yield curve, _Test(p=shuffle_p(float(observed), null), shuffles=shuffles)


def _peak_finding(curve: Curve, test: _Test, phrasing: Phrasing, moved: float) -> Finding:
    peak, (p, shuffles) = find_peak(curve), test
    # No upper end: that one probe does not decode a level never shows that the level is not encoded.
    verdict = Effect(estimate=peak.value, lo=peak.lo, p=p).verdict(null=curve.chance)
    lo, hi = np.clip(ends_interval(*(spread_out(end, moved) for end in peak.ends)), 0.0, 1.0)
    return curve_finding(
        HierarchyFinding.PEAK,
        curve,
        statement=_statement(curve, peak, verdict, phrasing),
        effect=Effect(estimate=float(curve.depth[peak.layer]), lo=float(lo), hi=float(hi), p=p),
        null=f"the maximum over all layers and curves under {shuffles} label shuffles",
        verdict=verdict,
    )


def _statement(curve: Curve, peak: Peak, verdict: Verdict, phrasing: Phrasing) -> str:
    subject, component = capitalised(phrasing.does(curve.level, "decode")), COMPONENT_NAMES[curve.component]
    interval = f"{measure(curve)} {peak.value:.2f} [{peak.lo:.2f}, {peak.hi:.2f}], chance {curve.chance:.2f}"
    if verdict == "supported":
        return f"{subject} best from {component} at {place(curve, peak)}: {interval}."
    top = peak.hi - curve.chance
    return (
        f"{capitalised(phrasing.level(curve.level))} undetected in {component}: at best {interval} (could have missed "
        f"{top:.2f} over chance)."
    )
