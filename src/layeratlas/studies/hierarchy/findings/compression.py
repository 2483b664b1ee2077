"""Do deep layers hold early content, and more of it if the content is buried? (H2)

Each level is judged separately; the claim combines them. Levels are not compared with each other, because some are
easier to decode than others. Instead, buried content is compared with the same labels and kinds of targets when not
buried, at the same depths. Each curve is the signal of the scores (`stats.signal_to_noise`) as a share of its own best
layer, which removes differences in difficulty and in the number of texts; of accuracies such shares depend on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import capitalised
from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.curves import Curve, level_curve
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.peaks import cross_chosen
from layeratlas.stats.shuffling import shuffle_maxima, shuffle_p
from layeratlas.stats.verdicts import Effect, bootstrapped, holm_corrected
from layeratlas.studies.hierarchy.names import BURIED, BURIED_LEVELS, COMPONENT_NAMES, WHOLE, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing

# The deep layers: the last quarter of depth.
DEEP = 0.75
# The smallest gain over chance that matters, as a share of the range from chance to certainty.
_SMALLEST_GAIN = 0.05


def deep_gain(values: Floats, curve: Curve) -> Floats:
    """Return the mean gain of curves (..., P) in the last quarter, as a share of the range from chance to certainty."""
    gain: Floats = (values[..., curve.depth >= DEEP].mean(-1) - curve.chance) / (1 - curve.chance)
    return gain


def content_findings(curves: Sequence[Curve], decoded: Mapping[str, Finding], phrasing: Phrasing) -> list[Finding]:
    """Return for each buried level whether it decodes in the last quarter of depth.

    `curves` are one component's level curves. `decoded` are the supported peaks by level: a level without one cannot be
    supported here. p is corrected for all buried levels by their maximum under shuffled labels.
    """
    buried = [curve for curve in curves if curve.level in BURIED_LEVELS]
    if not buried:
        return []
    shuffles = min(len(curve.shuffles) for curve in buried)
    scores = np.stack([_deep_scores(curve, shuffles) for curve in buried])
    null = scores[:, 1:].max(0)
    findings = []
    for curve, observed in zip(buried, scores[:, 0], strict=True):
        gate = decoded[curve.level].p if curve.level in decoded else 1.0
        findings.append(_content_finding(curve, max(shuffle_p(float(observed), null), gate), shuffles, phrasing))
    return findings


def _deep_scores(curve: Curve, shuffles: int) -> Floats:
    """Return the z-score of the deep gain of a curve and of its shuffles, (1 + shuffles,)."""
    return shuffle_maxima(deep_gain(curve.estimate[None], curve), deep_gain(curve.shuffles[:shuffles], curve)[:, None])


def _content_finding(curve: Curve, p: float, shuffles: int, phrasing: Phrasing) -> Finding:
    lo, hi = percentile_interval(deep_gain(curve.draws, curve))
    effect = Effect(estimate=float(deep_gain(curve.estimate, curve)), lo=float(lo), hi=float(hi), p=p)
    verdict = effect.verdict(margin=_SMALLEST_GAIN)
    decode, gain = (phrasing.does(curve.level, verb) for verb in ("decode", "gain"))
    where = f"in the last quarter of {COMPONENT_NAMES[curve.component]}"
    beginnings = {
        "supported": f"{capitalised(decode)} {where}",
        "not supported": f"{capitalised(gain)} less than {_SMALLEST_GAIN:.2f} {where}",
        "inconclusive": f"Whether {decode} {where} is undecided (could have missed {effect.hi:.2f})",
    }
    statement = (
        f"{beginnings[verdict]}: gain over chance {effect.estimate:.2f} [{lo:.2f}, {hi:.2f}] of what is possible."
    )
    null = f"the maximum over buried levels under {shuffles} label shuffles, and the level's peak"
    return curve_finding(
        HierarchyFinding.DEEP_CONTENT, curve, statement=statement, effect=effect, null=null, verdict=verdict
    )


def compression_findings(curves: Sequence[Curve], decoded: Mapping[str, Finding], phrasing: Phrasing) -> list[Finding]:
    """Return for each buried level whether it lies deeper in the model than the same content when not buried.

    `curves` are one component's curves of levels and tasks. Tasks are matched by name (`buried_animal`, `animal`), and
    both levels must decode. p is two-sided, Holm-corrected over the levels.
    """
    pairs = [pair for level in BURIED_LEVELS if (pair := _matched(curves, level, decoded)) is not None]
    effects = holm_corrected([_shift_difference(pair) for pair in pairs])
    return [_compression_finding(pair, effect, phrasing) for pair, effect in zip(pairs, effects, strict=True)]


@dataclass(frozen=True, kw_only=True)
class _Matched:
    """The curves of the same labels and targets, buried (`buried`) and not buried (`plain`)."""

    buried: Curve
    plain: Curve


def _matched(curves: Sequence[Curve], level: str, decoded: Mapping[str, Finding]) -> _Matched | None:
    """Return the mean curves over the tasks that a buried level shares with the plain one; None unless both decode."""
    tasks = {curve.task: curve for curve in curves if curve.task != WHOLE and curve.stratum == WHOLE}
    pairs = [
        (curve, tasks[plain])
        for name, curve in tasks.items()
        if curve.level == level and (plain := name.removeprefix(f"{BURIED}_")) in tasks
    ]
    if not pairs or not {level, _plain(level)} <= set(decoded):
        return None
    buried, plain_curves = zip(*pairs, strict=True)
    return _Matched(
        buried=level_curve(buried, max(curve.n_groups for curve in buried)),
        plain=level_curve(plain_curves, max(curve.n_groups for curve in plain_curves)),
    )


def _shift(curve: Curve) -> tuple[float, Floats]:
    """Return a curve's mean in the last quarter minus its mean before it, as a share of the best gain, and draws (B,).

    1 if all of the gain is in the last quarter, 0 on a plateau, negative if the curve falls. The best layer is chosen
    on one half of the groups and evaluated on the other. A curve without a signal is compared by its own measure.
    """
    curve = curve.signal or curve
    best = max(cross_chosen(curve, np.zeros(len(curve.estimate))) - curve.chance, ROUNDING)
    top = np.maximum(curve.draws[:, curve.estimate.argmax()] - curve.estimate.max() + best, ROUNDING)
    deep = curve.depth >= DEEP
    shift = (curve.estimate[deep].mean() - curve.estimate[~deep].mean()) / best
    draws = (curve.draws[:, deep].mean(1) - curve.draws[:, ~deep].mean(1)) / top
    return float(shift), draws


def _shift_difference(pair: _Matched) -> Effect:
    (buried, buried_draws), (plain, plain_draws) = _shift(pair.buried), _shift(pair.plain)
    groups = min(pair.buried.n_groups, pair.plain.n_groups)
    return bootstrapped(buried - plain, buried_draws - plain_draws, groups)


def _compression_finding(pair: _Matched, effect: Effect, phrasing: Phrasing) -> Finding:
    level, component = pair.buried.level, COMPONENT_NAMES[pair.buried.component]
    verdict = effect.verdict()
    lie, plain = phrasing.does(level, "lie"), phrasing.level(_plain(level))
    compared = f"deeper in {component} than the same {plain} not buried"
    beginnings = {
        "supported": f"{capitalised(lie)} {compared}",
        "not supported": f"{capitalised(lie)} less deep in {component} than the same {plain} not buried",
        "inconclusive": f"Whether {lie} {compared} is undecided ({effect.could_have_seen})",
    }
    statement = (
        f"{beginnings[verdict]}: gain in the last quarter over the layers before, as a share of the best gain, larger "
        f"by {effect.estimate:+.2f} [{effect.lo:+.2f}, {effect.hi:+.2f}]."
    )
    return curve_finding(
        HierarchyFinding.DEEP_COMPRESSION,
        Subject.of(level, pair.buried, pair.plain),
        statement=statement,
        effect=effect,
        null="the same shift from the layers before to the last quarter, buried and not buried",
        verdict=verdict,
    )


def _plain(level: str) -> str:
    """Return the level of the same content when not buried."""
    return level.removeprefix(f"{BURIED} ")
