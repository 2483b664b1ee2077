"""At which depth does each level emerge, and does one level emerge deeper than another? (H1)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import polars as pl

from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.curves import Curve
from layeratlas.stats.emergence import (
    HIGHEST,
    LOWEST,
    Definition,
    Emergence,
    emergence_depth,
    emergence_gap,
    measure_emergence,
    passage_depth,
    settled,
)
from layeratlas.stats.verdicts import Effect, Verdict, holm_corrected
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved
from layeratlas.studies.hierarchy.findings.order import Pair, pair_name
from layeratlas.studies.hierarchy.names import COMPONENT_NAMES, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing

# Definitions of the depth of emergence by name. The first one decides; the others show how far the order depends on it.
DEFINITIONS: Mapping[str, Definition] = {
    "mean": emergence_depth,
    "quarter": partial(passage_depth, share=0.25),
    "half": partial(passage_depth, share=0.5),
    "three quarters": partial(passage_depth, share=0.75),
}
# The last row of a level in the table: the depth from which its curve stays above half of its maximum.
SETTLED = "settled"
_SHARES = f"{LOWEST:.0%} to {HIGHEST:.0%}"


def emergence_findings(
    curves: Sequence[Curve], peaks: Mapping[str, Finding], phrasing: Phrasing, moved: Moved = NOT_MOVED
) -> list[Finding]:
    """Return where each curve emerges. `peaks` are the peaks of the levels that decode, by level."""
    return [_emergence_finding(curve, peaks[curve.level], phrasing, moved) for curve in curves if curve.level in peaks]


def _emergence_finding(curve: Curve, peak: Finding, phrasing: Phrasing, moved: Moved) -> Finding:
    depth = _measured(curve, emergence_depth, moved)
    lo, hi = depth.interval
    half = measure_emergence(curve, DEFINITIONS["half"])
    held = settled(curve).estimate
    holds = f"stays above half of its maximum from {held:.2f}" if held <= 1 else "ends below half of its maximum"
    what = "rise" if curve.signal is None else "rise of the signal"
    statement = (
        f"{capitalised(phrasing.does(curve.level, 'emerge'))} in {COMPONENT_NAMES[curve.component]} at depth "
        f"{depth.estimate:.2f} [{lo:.2f}, {hi:.2f}] (mean over {_SHARES} of the {what}); half of it at "
        f"{half.estimate:.2f}; it {holds}."
    )
    return curve_finding(
        HierarchyFinding.EMERGENCE,
        curve,
        statement=statement,
        effect=Effect(estimate=depth.estimate, lo=lo, hi=hi, p=peak.p),
        null=f"no rise; {peak.null}",
        verdict=peak.verdict,
    )


def _measured(curve: Curve, definition: Definition, moved: Moved) -> Emergence:
    return measure_emergence(curve, definition, moved.emergence.get(curve.level, 0.0))


def emergence_order_findings(pairs: Sequence[Pair], phrasing: Phrasing, moved: Moved = NOT_MOVED) -> list[Finding]:
    """Return for each pair of levels whether the later one emerges deeper; p is two-sided, Holm-corrected."""
    effects = holm_corrected(pair_effects(pairs, emergence_depth, moved))
    return [_order_finding(pair, effect, phrasing) for pair, effect in zip(pairs, effects, strict=True)]


def pair_effects(pairs: Sequence[Pair], definition: Definition, moved: Moved = NOT_MOVED) -> list[Effect]:
    """Return, for each pair, how much deeper the later level emerges by a definition; p is not corrected."""
    return [
        emergence_gap(_measured(earlier, definition, moved), _measured(later, definition, moved))
        for earlier, later in pairs
    ]


def _order_finding(pair: Pair, effect: Effect, phrasing: Phrasing) -> Finding:
    verdict = effect.verdict()
    return curve_finding(
        HierarchyFinding.EMERGENCE_ORDER,
        Subject.of(pair_name(pair), *pair),
        statement=_statement(pair, effect, verdict, phrasing),
        effect=effect,
        null="both emerge at the same depth (bootstrap over groups)",
        verdict=verdict,
    )


def _statement(pair: Pair, effect: Effect, verdict: Verdict, phrasing: Phrasing) -> str:
    a, later = phrasing.level(pair[0].level), phrasing.does(pair[1].level, "emerge")
    component = COMPONENT_NAMES[pair[0].component]
    difference = f"{effect.estimate:+.2f} of depth [{effect.lo:+.2f}, {effect.hi:+.2f}]"
    if verdict == "inconclusive":
        return f"Whether {later} deeper than {a} in {component} is undecided: {difference}."
    relation = "deeper" if verdict == "supported" else "earlier"
    return f"{capitalised(later)} {relation} than {a} in {component}: {difference}."


def emergence_table(curves: Sequence[Curve], pairs: Sequence[Pair], moved: Moved = NOT_MOVED) -> pl.DataFrame:
    """Return the depths of emergence of levels, and their differences for pairs of levels, by every definition.

    `depth` rows are fractions of depth; `settled` is infinite if a curve does not stay above half of its maximum until
    the end. `difference` rows are the later level's depth minus the earlier level's.
    """
    rows = []
    for curve in curves:
        for name, definition in DEFINITIONS.items():
            measured = _measured(curve, definition, moved)
            rows.append(_row(curve, "depth", curve.level, name, _depth_effect(measured)))
        rows.append(_row(curve, "depth", curve.level, SETTLED, settled(curve)))
    for name, definition in DEFINITIONS.items():
        for pair, effect in zip(pairs, pair_effects(pairs, definition, moved), strict=True):
            rows.append(_row(pair[0], "difference", pair_name(pair), name, effect))
    return pl.DataFrame(rows, schema=_SCHEMA)


_TEXTS = ("component", "method", "quantity", "level", "definition")
_SCHEMA = dict.fromkeys(_TEXTS, pl.String) | dict.fromkeys(("estimate", "lo", "hi"), pl.Float64)


def _depth_effect(depth: Emergence) -> Effect:
    lo, hi = depth.interval
    return Effect(estimate=depth.estimate, lo=lo, hi=hi)


def _row(curve: Curve, quantity: str, level: str, definition: str, effect: Effect) -> dict[str, str | float]:
    return {
        "component": curve.component,
        "method": curve.method,
        "quantity": quantity,
        "level": level,
        "definition": definition,
        "estimate": effect.estimate,
        "lo": effect.lo,
        "hi": effect.hi,
    }
