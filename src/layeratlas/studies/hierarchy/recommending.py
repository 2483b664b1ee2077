"""Which layer to probe, to steer and to take embeddings from: the recommendations of a hierarchy run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.runs.finding import Finding, corrected
from layeratlas.runs.recommendation import ALL, Choice, Purpose, Recommendation, recommend
from layeratlas.stats.best_layers import CONFIDENCE, BestLayers, best_layers, choose, smoothed
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import percentile_interval
from layeratlas.stats.peaks import cross_read
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.phrasing import Phrasing

_RULE_OF_SET = (
    f"The layers that are as good hold all that are equally the best with {CONFIDENCE:.0%} probability (model "
    "confidence set, Hansen, Lunde and Nason 2011, from the bootstrap over groups)."
)
_NEIGHBOURS = "averaged with its neighbours (a twelfth of the layers to either side)"
RULES: Mapping[Purpose, str] = {
    Purpose.PROBE: f"The layer with the highest out-of-fold score, {_NEIGHBOURS}. {_RULE_OF_SET}",
    Purpose.STEER: "The earliest point of the residual stream, without the embeddings and the last point, that decodes "
    "as well as the best and within one standard error of it: a direction can be taken where it decodes, and the "
    "more blocks follow, the more can use it. That the model uses it is not measured by this run.",
    Purpose.EMBED: f"The layer with the highest mean over all levels that decode, {_NEIGHBOURS}, each level on a scale "
    f"from chance (0) to certainty (1): one vector for all the run's labels. {_RULE_OF_SET}",
}
# The measure for embeddings: the value as a share of the range from chance to certainty.
SHARE = "share of the way to certainty"


def recommendations(curves: Sequence[Curve], findings: Sequence[Finding], phrasing: Phrasing) -> list[Recommendation]:
    """Return the layers to use, in every component, for each level and for each task of a level with several.

    `curves` are those of the main measure of one probe over all texts, and `findings` the peaks of levels after the
    correction over the report. The peaks of tasks are corrected among themselves, since a report does not have them.
    No layer is recommended without a supported peak.
    """
    levels = [curve for curve in curves if curve.task == WHOLE]
    tasks = [curve for curve in curves if curve.task != WHOLE and _siblings(curve, curves) > 1]
    peaks = {(peak.level, peak.component, peak.method): peak for peak in findings}
    rows: list[Recommendation] = []
    for curve in levels:
        rows += _of_curve(curve, peaks[curve.level, curve.component, curve.method])
    of_tasks = corrected(peak_findings(tasks, phrasing)) if tasks else []
    for curve, (peak, _) in zip(tasks, of_tasks, strict=True):
        rows += _of_curve(curve, peak)
    for component in dict.fromkeys(curve.component for curve in levels):
        inside = [curve for curve in levels if curve.component == component]
        decoded = [c for c in inside if peaks[c.level, c.component, c.method].verdict == "supported"]
        rows += [_embedding(decoded)] if decoded else []
    return rows


def _siblings(curve: Curve, curves: Sequence[Curve]) -> int:
    """Return the number of tasks of a curve's level."""
    return len({other.task for other in curves if other.level == curve.level and other.task != WHOLE})


def _of_curve(curve: Curve, peak: Finding) -> list[Recommendation]:
    """Return the layer to probe and, in the residual stream, the layer to steer at."""
    steers = curve.component == "resid"
    if peak.verdict != "supported":
        none = Choice(reason=f"No layer is shown to decode it. {peak.statement}")
        return [recommend(curve, purpose, none) for purpose in (Purpose.PROBE, Purpose.STEER)[: 1 + steers]]
    best = best_layers(curve.estimate, curve.draws)
    probing = recommend(curve, Purpose.PROBE, _probing(curve, best))
    return [probing, *([recommend(curve, Purpose.STEER, _steering(curve, best))] if steers else [])]


def _probing(curve: Curve, best: BestLayers) -> Choice:
    """Return the layer with the best neighbourhood; its value is measured on groups that did not choose it."""
    layer = choose(curve.estimate, best.inside)
    lo, hi = curve.interval
    value = cross_read(curve.half_a, curve.half_b, smoothed)
    shift = value - float(curve.estimate[layer])
    reason = (
        "No layer is shown to be better than another." if best.inside.all() else "It and its neighbours decode best."
    )
    return Choice(
        layer=layer,
        as_good=_numbers(best.inside),
        value=value,
        lo=float(lo[layer]) + shift,
        hi=min(1.0, float(hi[layer]) + shift),
        reason=reason,
    )


def _steering(curve: Curve, best: BestLayers) -> Choice:
    """Return the earliest point that decodes as well as the best and has a block after it."""
    inner = np.ones(len(curve.estimate), dtype=bool)
    inner[[0, -1]] = False
    near = np.flatnonzero(best.near & inner)
    if not len(near):
        return Choice(
            reason="Only the embeddings or the last point decode it as well as the best, and no block follows the last."
        )
    layer = int(near[0])
    lo, hi = curve.interval
    return Choice(
        layer=layer,
        as_good=_numbers(best.inside & inner),
        value=float(curve.estimate[layer]),
        lo=float(lo[layer]),
        hi=float(hi[layer]),
        reason=f"The earliest point within one standard error of the best; {len(inner) - 1 - layer} blocks follow it.",
    )


def _embedding(curves: Sequence[Curve]) -> Recommendation:
    """Return the layer of one component with the best mean over all of these levels."""
    estimate = np.mean([_share(curve, curve.estimate) for curve in curves], axis=0)
    draws = np.mean([_share(curve, curve.draws) for curve in curves], axis=0)
    best = best_layers(estimate, draws)
    layer = choose(estimate, best.inside)
    lo, hi = percentile_interval(draws[:, layer])
    choice = Choice(
        layer=layer,
        as_good=_numbers(best.inside),
        value=float(estimate[layer]),
        lo=float(lo),
        hi=float(hi),
        reason=f"It serves {', '.join(curve.level for curve in curves)} best together.",
    )
    together = replace(curves[0], level=ALL, task=ALL, metric=SHARE, chance=0.0)
    return recommend(together, Purpose.EMBED, choice)


def _share(curve: Curve, values: Floats) -> Floats:
    """Return values as shares of the range from chance to certainty (1 for every main measure)."""
    return (values - curve.chance) / (1 - curve.chance)


def _numbers(inside: Bools) -> tuple[int, ...]:
    return tuple(int(layer) for layer in np.flatnonzero(inside))
