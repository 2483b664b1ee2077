"""Which layer to probe, to take a direction from and to take embeddings from: what a hierarchy run recommends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.data.items import Dataset
from layeratlas.runs.finding import Finding, corrected
from layeratlas.runs.recommendation import ALL, Choice, Purpose, Recommendation, recommend
from layeratlas.stats.best_layers import (
    CONFIDENCE,
    BestLayers,
    Expected,
    best_layers,
    choose,
    noise_of,
    smoothed,
    within_one_error,
)
from layeratlas.stats.chosen import value_of_choice, value_on_curve
from layeratlas.stats.common_curve import common_curve
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import percentile_interval
from layeratlas.stats.resampling import Sample
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.phrasing import Phrasing

_RULE_OF_SET = (
    f"The layers that are as good hold all that are equally the best with {CONFIDENCE:.0%} probability (model "
    "confidence set, Hansen, Lunde and Nason 2011, from the bootstrap over groups)."
)
_SMOOTH = "smoothed over depth as far as its noise asks (a Gaussian process)"
RULES: Mapping[Purpose, str] = {
    Purpose.PROBE: f"The layer with the highest out-of-fold score, {_SMOOTH}, and towards what the run's levels "
    "of other texts have in common (empirical Bayes). Where the run has read the texts in other wordings, it is chosen "
    f"from the mean curve of all wordings. {_RULE_OF_SET}",
    Purpose.DIRECTION: "The earliest point of the residual stream, without the embeddings and the last point, that "
    "decodes as well as the best and within one standard error of it: a direction can be taken where it decodes, and "
    "the more blocks follow, the more can use it. Steering is not tested by this run. The causal study tests it at the "
    "last token of prompts, and `layeratlas steer` tries it at every token of one prompt: these are different "
    "measurements, which may favour other points.",
    Purpose.EMBED: f"The layer with the highest mean over all levels that decode, {_SMOOTH}, each level on a scale "
    f"from chance (0) to certainty (1): one vector for all the run's labels. {_RULE_OF_SET}",
}
# The level, task (or `all`) and component of curves, and the curves of the run's other wordings of its texts by these.
Whose = tuple[str, str, str]
Reworded = Mapping[Whose, Sequence[Curve]]
# The levels that share a text or a group with each level, itself among them.
Sharing = Mapping[str, Collection[str]]


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a choice takes into account beside a run's curves.

    `reworded` are the curves of other wordings of the texts, resampled with the run's own. `shared` are the levels that
    share texts or groups with a level.
    """

    reworded: Reworded = field(default_factory=dict)
    shared: Sharing = field(default_factory=dict)


NOTHING = Beside()
# The variance of a mean over one half of the groups, in multiples of that over all.
_OF_HALVES = 2.0
# The measure for embeddings: the value as a share of the range from chance to certainty.
SHARE = "share of the way to certainty"


def sharing(material: Iterable[Dataset]) -> Sharing:
    """Return which levels of data sets share a text or a group, and so the noise of these texts."""
    texts: dict[str, set[str]] = {}
    groups: dict[str, set[str]] = {}
    for data in material:
        texts.setdefault(data.level, set()).update(data.texts)
        groups.setdefault(data.level, set()).update(item.group for item in data.items)
    return {a: {b for b in texts if texts[a] & texts[b] or groups[a] & groups[b]} for a in texts}


def recommendations(
    curves: Sequence[Curve],
    findings: Sequence[Finding],
    phrasing: Phrasing,
    beside: Beside = NOTHING,
) -> list[Recommendation]:
    """Return the layers to use, in every component, for each level and for each task of a level with several.

    `curves` are those of the main measure of one probe over all texts, and `findings` the peaks of levels after the
    correction over the report. The peaks of tasks are corrected among themselves, since a report does not have them.
    No layer is recommended without a supported peak.
    """
    levels = [curve for curve in curves if curve.task == WHOLE]
    tasks = [curve for curve in curves if curve.task != WHOLE and _siblings(curve, curves) > 1]
    peaks = {(peak.level, peak.component, peak.method): peak for peak in findings}
    decoded = [c for c in levels if peaks[c.level, c.component, c.method].verdict == "supported"]
    expected = {(c.level, c.component): _expected(c, decoded, beside.shared) for c in levels}
    rows: list[Recommendation] = []
    of_levels = [peaks[curve.level, curve.component, curve.method] for curve in levels]
    of_tasks = [peak for peak, _ in corrected(peak_findings(tasks, phrasing))] if tasks else []
    for curve, peak in zip([*levels, *tasks], [*of_levels, *of_tasks], strict=True):
        chooses = _over_wordings(curve, beside.reworded.get((curve.level, curve.task, curve.component), ()))
        rows += _of_curve(curve, peak, chooses, expected[curve.level, curve.component])
    for component in dict.fromkeys(curve.component for curve in levels):
        together = [curve for curve in decoded if curve.component == component]
        rows += [_embedding(together)] if together else []
    return rows


def _expected(curve: Curve, decoded: Sequence[Curve], shared: Sharing) -> Expected | None:
    """Return what the levels of other texts that decode say of a level's curve, as shares.

    A level of the same texts or groups would show, on all groups, the noise of those that judge the choice of a half.
    """
    near = {curve.level, *shared.get(curve.level, ())}
    others = [other for other in decoded if other.level not in near and other.component == curve.component]
    return common_curve([(_share(other, other.estimate), _share(other, other.draws)) for other in others])


def _siblings(curve: Curve, curves: Sequence[Curve]) -> int:
    """Return the number of tasks of a curve's level."""
    return len({other.task for other in curves if other.level == curve.level and other.task != WHOLE})


def _over_wordings(curve: Curve, others: Sequence[Curve]) -> Curve:
    """Return the mean of a curve and of those of its other wordings, which chooses better for texts in a new one."""
    means = {name: np.mean([getattr(one, name) for one in (curve, *others)], axis=0) for name in Sample._fields}
    return replace(curve, **means)


def _of_curve(curve: Curve, peak: Finding, chooses: Curve, expected: Expected | None) -> list[Recommendation]:
    """Return the layer to probe and, in the residual stream, the point to take a direction from."""
    directed = curve.component == "resid"
    if peak.verdict != "supported":
        none = Choice(reason=f"No layer is shown to decode it. {peak.statement}")
        return [recommend(curve, purpose, none) for purpose in (Purpose.PROBE, Purpose.DIRECTION)[: 1 + directed]]
    best = best_layers(curve.estimate, curve.draws)
    probing = recommend(curve, Purpose.PROBE, _probing(curve, chooses, expected))
    return [probing, *([recommend(curve, Purpose.DIRECTION, _directing(curve, best))] if directed else [])]


def _probing(curve: Curve, chooses: Curve, expected: Expected | None) -> Choice:
    """Return the layer with the highest expected score on the curve that chooses; its value is of the run's own."""
    best = best_layers(chooses.estimate, chooses.draws)
    noise = noise_of(_share(curve, chooses.draws))
    layer = choose(_share(curve, chooses.estimate), noise, best.inside, expected)

    def judge(half: Floats) -> Floats:
        return smoothed(_share(curve, half), _OF_HALVES * noise, expected)

    value, lo, hi = value_on_curve(curve, layer, judge, (chooses.half_a, chooses.half_b))
    reason = (
        "No layer is shown to be better than another." if best.inside.all() else "It and its neighbours decode best."
    )
    return Choice(layer=layer, as_good=_numbers(best.inside), value=value, lo=lo, hi=hi, reason=reason)


def _directing(curve: Curve, best: BestLayers) -> Choice:
    """Return the earliest point that decodes as well as the best and has a block before and after it."""
    inner = np.ones(len(curve.estimate), dtype=bool)
    inner[[0, -1]] = False
    near = np.flatnonzero(best.inside & inner & within_one_error(curve.estimate, best.errors))
    if not len(near):
        return Choice(
            reason="Only the embeddings or the last point decode it as well as the best, and no block follows the last."
        )
    layer = int(near[0])
    value, lo, hi = value_on_curve(curve, layer, partial(_earliest, inner, best.errors))
    return Choice(
        layer=layer,
        as_good=_numbers(best.inside & inner),
        value=value,
        lo=lo,
        hi=hi,
        reason=f"The earliest point within one standard error of the best; {len(inner) - 1 - layer} blocks follow it. "
        "Steering there is untested.",
    )


def _earliest(inner: Bools, errors: Floats, values: Floats) -> Floats:
    """Return scores of points (..., P): highest for the first inner one within one standard error of the best.

    Without such a point it is the best of the inner points.
    """
    points = values.shape[-1]
    near = inner & within_one_error(values, errors)
    others = np.where(inner, values - values.max(-1, keepdims=True), -np.inf)
    return np.where(near, points - np.arange(points), others)


def _embedding(curves: Sequence[Curve]) -> Recommendation:
    """Return the layer of one component with the best mean over all of these levels."""
    means = Sample(*(np.mean([_share(c, getattr(c, name)) for c in curves], axis=0) for name in Sample._fields))
    best = best_layers(means.estimate, means.draws)
    noise = noise_of(means.draws)
    layer = choose(means.estimate, noise, best.inside)
    value, draws = value_of_choice(means, layer, partial(smoothed, noise=_OF_HALVES * noise))
    lo, hi = percentile_interval(draws)
    choice = Choice(
        layer=layer,
        as_good=_numbers(best.inside),
        value=value,
        lo=float(lo),
        hi=min(1.0, float(hi)),
        reason=f"It serves {', '.join(curve.level for curve in curves)} best together.",
    )
    together = replace(curves[0], level=ALL, task=ALL, metric=SHARE, chance=0.0)
    return recommend(together, Purpose.EMBED, choice)


def _share(curve: Curve, values: Floats) -> Floats:
    """Return values as shares of the range from chance to certainty (1 for every main measure)."""
    return (values - curve.chance) / (1 - curve.chance)


def _numbers(inside: Bools) -> tuple[int, ...]:
    return tuple(int(layer) for layer in np.flatnonzero(inside))
