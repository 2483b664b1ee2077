"""Does a curve rise, fall and rise again? (H3)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import MARGIN, ROUNDING, Z95, percentile_interval
from layeratlas.stats.tests import holm, normal_tail
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing, measure
from layeratlas.studies.hierarchy.profiles import smooth, z_scores

# Two maxima of the smoothed z-scored curve count as a double peak if both are in the first 60 % of depth, each has a
# prominence of half a standard deviation, and they are 5 % of the layers apart. These thresholds are ours; the size of
# the dip is reported as well.
_EARLY, _PROMINENCE, _APART = 0.6, 0.5, 0.05
# Random halves of the groups over which the dip is averaged.
_HALVES = 50
# Number of bootstrap draws searched for a dip if the whole sample has none.
_DRAWS = 200


@dataclass(frozen=True, kw_only=True)
class DoublePeak:
    """Two maxima and the lowest point between them, as layers of the curve."""

    first: int
    trough: int
    second: int

    def dip(self, values: Floats) -> float:
        """Return how far a curve (P,) falls between the two maxima (the smaller of the two falls)."""
        return float(min(values[self.first], values[self.second]) - values[self.trough])


def double_peak(values: Floats, component: str) -> DoublePeak | None:
    """Return the neighbouring maxima of a curve (P,) with the deepest dip between them; None without two maxima."""
    z = smooth(z_scores(values, component))
    offset = len(values) - len(z)
    # A maximum may lie on the first point, which scipy does not count as one.
    padded = np.concatenate([[z.min() - 1], z, [z.min() - 1]])
    maxima = scipy.signal.find_peaks(padded, prominence=_PROMINENCE, distance=max(1, int(_APART * len(z))))[0] - 1
    maxima = maxima[maxima < _EARLY * len(z)]
    candidates = [
        DoublePeak(first=int(a), trough=int(a + z[a : b + 1].argmin()), second=int(b)) for a, b in pairwise(maxima)
    ]
    if not candidates:
        return None
    best = max(candidates, key=lambda peaks: peaks.dip(z))
    return DoublePeak(first=best.first + offset, trough=best.trough + offset, second=best.second + offset)


@dataclass(frozen=True, kw_only=True)
class Dip:
    """The dip of a double peak: its size, free of selection bias, and its standard error."""

    peaks: DoublePeak
    size: float
    error: float

    @property
    def p(self) -> float:
        """The one-sided p-value of no dip, not corrected."""
        return normal_tail(self.size / self.error)

    def effect(self, p: float) -> Effect:
        """Return the dip with its 95 % interval and the given p-value, which is corrected for all tested dips."""
        reach = Z95 * self.error
        return Effect(estimate=self.size, lo=self.size - reach, hi=self.size + reach, p=p)


def largest_dip(curve: Curve) -> float:
    """Return the 97.5th percentile of the dips of a curve's draws, 0 for draws without two maxima."""
    draws = curve.draws[:_DRAWS]
    dips = [0.0 if (peaks := double_peak(draw, curve.component)) is None else peaks.dip(draw) for draw in draws]
    return float(percentile_interval(np.array(dips))[1])


def measure_dip(curve: Curve) -> Dip | None:
    """Return the dip between the two maxima of a curve, or None without two maxima.

    The layers are chosen on one half of the groups and the dip is measured on the other, in both directions, so a dip
    that is only noise averages to zero. The standard error is the bootstrap's, at the layers of the whole sample.
    """
    peaks = double_peak(curve.estimate, curve.component)
    if peaks is None:
        return None
    dips = []
    for chosen_on, measured_on in ((curve.half_a, curve.half_b), (curve.half_b, curve.half_a)):
        for chosen, measured in zip(chosen_on[:_HALVES], measured_on[:_HALVES], strict=True):
            candidate = double_peak(chosen, curve.component)
            dips.append(0.0 if candidate is None else candidate.dip(measured))
    error = float(np.array([peaks.dip(draw) for draw in curve.draws]).std())
    return Dip(peaks=peaks, size=float(np.mean(dips)), error=max(error, ROUNDING))


def second_peak_findings(curves: Sequence[Curve], phrasing: Phrasing) -> list[Finding]:
    """Return for each curve whether it rises, falls and rises again; p is one-sided, Holm-corrected over the curves."""
    dips = [measure_dip(curve) for curve in curves]
    ps = holm([1.0 if dip is None else dip.p for dip in dips])
    return [_second_peak_finding(curve, dip, p, phrasing) for curve, dip, p in zip(curves, dips, ps, strict=True)]


def _second_peak_finding(curve: Curve, dip: Dip | None, p: float, phrasing: Phrasing) -> Finding:
    effect = Effect(estimate=0.0, lo=0.0, hi=largest_dip(curve), p=p) if dip is None else dip.effect(p)
    verdict = effect.verdict(margin=MARGIN)
    return curve_finding(
        HierarchyFinding.SECOND_PEAK,
        curve,
        statement=_statement(curve, dip, effect, phrasing),
        effect=effect,
        null="one peak: the dip chosen on one half of the groups is zero on the other",
        verdict=verdict,
    )


def _statement(curve: Curve, dip: Dip | None, effect: Effect, phrasing: Phrasing) -> str:
    subject = f"{measure(curve)} of {phrasing.level(curve.level)} in {COMPONENT_NAMES[curve.component]}"
    verdict = effect.verdict(margin=MARGIN)
    beginnings = {
        "supported": f"{capitalised(subject)} rises, falls and rises again",
        "not supported": f"{capitalised(subject)} has one peak (a dip of {MARGIN} would have been seen)",
        "inconclusive": f"Whether {subject} has a second peak is undecided "
        f"(could have missed a dip of {effect.hi:.2f})",
    }
    if dip is None:
        return f"{beginnings[verdict]}: one maximum in the first 60 % of depth."
    peaks = dip.peaks
    return (
        f"{beginnings[verdict]}: maxima at layers {peaks.first} and {peaks.second}, minimum at {peaks.trough}, dip "
        f"{effect.estimate:.2f} [{effect.lo:.2f}, {effect.hi:.2f}]."
    )
