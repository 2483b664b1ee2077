"""Does any exit answer a level better than its baselines, and from what depth on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.intervals import MARGIN, Z95, draws_interval, one_group
from layeratlas.stats.peaks import onset
from layeratlas.stats.tests import two_sided_t
from layeratlas.stats.verdicts import Effect, Verdict, holm_corrected
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.statements import at_depth, title, with_span
from layeratlas.studies.exits.names import ExitFinding


@dataclass(frozen=True, kw_only=True)
class LevelGain:
    """The gain of a level's exits over its floor, and the depth at which the gain begins.

    `layer` is the index of the exit with the largest gain in the whole sample. `effect` is the gain at an exit chosen
    on one half of the groups and measured on the other, with p Holm-corrected over the levels. `onset` is the depth at
    which the gain first passes half of its largest value, `onset_draws` (B,) its bootstrap.
    """

    curve: ExitCurve
    layer: int
    effect: Effect
    onset: Effect
    onset_draws: Floats

    @property
    def verdict(self) -> Verdict:
        """Verdict on whether exits beat the level's baselines; `not supported` if the gain is below the margin."""
        return self.effect.verdict(margin=MARGIN)

    @property
    def is_answered(self) -> bool:
        """Whether the level is answered above its baselines."""
        return self.verdict == "supported"


def level_gains(curves: Sequence[ExitCurve]) -> list[LevelGain]:
    """Return the gains of level curves of one score and measure, with p-values corrected over the levels."""
    effects = holm_corrected([_gain_effect(curve) for curve in curves])
    return [_level_gain(curve, effect) for curve, effect in zip(curves, effects, strict=True)]


def _level_gain(curve: ExitCurve, effect: Effect) -> LevelGain:
    onset_draws = onset(curve.gains, curve.depth)
    lo, hi = draws_interval(onset_draws, curve.n_groups, least=0.0, most=1.0)
    start = float(onset(curve.excess[None], curve.depth)[0])
    return LevelGain(
        curve=curve,
        layer=int(curve.excess.argmax()),
        effect=effect,
        onset=Effect(estimate=start, lo=float(lo), hi=float(hi)),
        onset_draws=onset_draws,
    )


def _gain_effect(curve: ExitCurve) -> Effect:
    gain = _gain_on_other_half(curve)
    spread = float(curve.gains[:, curve.excess.argmax()].std())
    # If all draws are equal (every answer right), their spread is 0; one group's share is the smallest plausible error.
    spread = max(spread, one_group(curve.n_groups))
    p = two_sided_t(gain, spread, curve.degrees)
    return Effect(estimate=gain, lo=gain - Z95 * spread, hi=gain + Z95 * spread, p=p)


def _gain_on_other_half(curve: ExitCurve) -> float:
    """Return the mean gain over the floor at an exit chosen on the other half of the groups.

    Each half has its own floor. With a shared floor, an exit whose floor is low by chance would be chosen for it and
    then gain from the same chance in the other half.
    """
    over_a = curve.half_a - curve.floor_with(curve.control_a)
    over_b = curve.half_b - curve.floor_with(curve.control_b)
    gains = [
        np.take_along_axis(read_on, chosen_on.argmax(1)[:, None], 1).mean()
        for chosen_on, read_on in ((over_a, over_b), (over_b, over_a))
    ]
    return float(np.mean(gains))


def gain_findings(gains: Sequence[LevelGain], readout_note: str) -> list[Finding]:
    """Return one finding per level on whether it is answered and, for answered levels, one on the onset depth."""
    findings = []
    for gain in gains:
        findings.append(_exit_finding(gain, readout_note))
        if gain.is_answered:
            findings.append(_onset_finding(gain))
    return findings


def _exit_finding(gain: LevelGain, readout_note: str) -> Finding:
    curve, layer = gain.curve, gain.layer
    where = f"exit {curve.layers[layer]} of 0-{curve.layers[-1]} (depth {curve.depth[layer]:.2f})"
    levels = (
        f"accuracy {curve.estimate[layer]:.2f}, chance {curve.chance:.2f}, surface rules {curve.baseline:.2f}, choices "
        f"without their question {curve.shuffles.mean(0)[layer]:.2f}"
    )
    over = "chance and the surface rules" if curve.evident else "the best of these"
    why = " (wrong choices can be recognised without the question)" if curve.evident else ""
    effect = f"Gain over {over}{why}, the exit chosen on the other half of the groups: {with_span(gain.effect)}"
    head = {
        "supported": f"answered above its baselines, best at {where}",
        "not supported": f"every exit gains less than {MARGIN} over the baselines; the largest gain is at {where}",
        "inconclusive": f"whether it is answered above its baselines is undecided ({gain.effect.could_have_seen}); the "
        f"largest gain is at {where}",
    }[gain.verdict]
    rest = " and the surface rules" if curve.evident else ", the surface rules and the choice without the question"
    return curve_finding(
        ExitFinding.EXIT,
        curve,
        statement=f"{title(curve)}: {head}: {levels}. {effect}{readout_note}.",
        effect=gain.effect,
        null=f"the best exit equals the best of chance{rest}",
        verdict=gain.verdict,
    )


def _onset_finding(gain: LevelGain) -> Finding:
    floor = "chance and the surface rules" if gain.curve.evident else "the best baseline"
    return curve_finding(
        ExitFinding.ONSET,
        gain.curve,
        statement=f"{title(gain.curve)}: half of the rise above {floor} is reached at depth {at_depth(gain.onset)}.",
        effect=replace(gain.onset, p=gain.effect.p),
        null="no exit beats the baselines",
        verdict="supported",
    )
