"""Does one level peak deeper than another?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import percentile_interval
from layeratlas.stats.peaks import find_peak, top_depth
from layeratlas.stats.tests import holm, two_sided
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved, spread_out
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing

# An earlier and a later level.
Pair = tuple[Curve, Curve]


def pair_name(pair: Pair) -> str:
    """Return the level of a finding about two levels."""
    return " < ".join(curve.level for curve in pair)


def decoded_pairs(curves: Sequence[Curve], decoded: Collection[str]) -> list[Pair]:
    """Return the pairs of neighbouring levels in which both levels decode.

    `curves` are one component's level curves, ordered from the expected shallowest level to the deepest.
    """
    return [(earlier, later) for earlier, later in pairwise(curves) if {earlier.level, later.level} <= set(decoded)]


def order_findings(
    curves: Sequence[Curve], decoded: Collection[str], phrasing: Phrasing, moved: Moved = NOT_MOVED
) -> list[Finding]:
    """Return a finding per pair of neighbouring levels that both decode: does the later one peak deeper?

    The interval is for the difference in peak depth (bootstrap); p is two-sided, Holm-corrected over the pairs.
    """
    pairs = decoded_pairs(curves, decoded)
    gaps = [
        spread_out(
            find_peak(later).depths - find_peak(earlier).depths, moved.of_pair(moved.peak, earlier.level, later.level)
        )
        for earlier, later in pairs
    ]
    ps = holm([two_sided(gap) for gap in gaps])
    return [
        _order_finding(earlier, later, _effect(earlier, later, gap, p), phrasing)
        for (earlier, later), gap, p in zip(pairs, gaps, ps, strict=True)
    ]


def _effect(earlier: Curve, later: Curve, gap: Floats, p: float) -> Effect:
    lo, hi = percentile_interval(gap)
    estimate = top_depth(later.estimate, later.depth) - top_depth(earlier.estimate, earlier.depth)
    return Effect(estimate=float(estimate), lo=float(lo), hi=float(hi), p=p)


def _order_finding(earlier: Curve, later: Curve, effect: Effect, phrasing: Phrasing) -> Finding:
    verdict = effect.verdict()
    return curve_finding(
        HierarchyFinding.ORDER,
        Subject.of(pair_name((earlier, later)), earlier, later),
        statement=_statement(earlier, later, effect, verdict, phrasing),
        effect=effect,
        null="both peak at the same depth (bootstrap over groups)",
        verdict=verdict,
    )


def _statement(earlier: Curve, later: Curve, effect: Effect, verdict: Verdict, phrasing: Phrasing) -> str:
    a, component = phrasing.level(earlier.level), COMPONENT_NAMES[earlier.component]
    peaks = phrasing.does(later.level, "peak")
    difference = f"{effect.estimate:+.2f} of depth [{effect.lo:+.2f}, {effect.hi:+.2f}]"
    if verdict == "inconclusive":
        return f"Whether {peaks} deeper than {a} in {component} is undecided: {difference}."
    relation = "deeper" if verdict == "supported" else "earlier"
    return f"{capitalised(peaks)} {relation} than {a} in {component}: {difference}."
