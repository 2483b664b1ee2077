"""Where in the network do gains begin? The published claims X1 (calculation sits high) and X4 (mid-network)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect, Verdict, all_hold
from layeratlas.studies.exits.findings.gains import LevelGain
from layeratlas.studies.exits.findings.statements import at_depth, levels_finding, title
from layeratlas.studies.exits.names import ExitFinding

CALCULATION = ("arithmetic", "calculation")
MIDDLE = 0.5
# The middle half of the network, in fractions of depth.
LOWER, UPPER = 0.25, 0.75
_NULL_X4 = "half of the rise is reached outside depth 0.25 to 0.75"


def upper_half_findings(gains: Sequence[LevelGain]) -> list[Finding]:
    """Return X1 for each answered level of calculation: half of the rise is reached in the upper half of the depth."""
    return [_upper_half(gain) for gain in gains if gain.curve.level in CALCULATION and gain.is_answered]


def _upper_half(gain: LevelGain) -> Finding:
    effect = replace(gain.onset, p=two_sided(gain.onset_draws - MIDDLE))
    verdict = effect.verdict(null=MIDDLE)
    summary = {
        "supported": "half of the rise is reached in the upper half of the depth",
        "not supported": "half of the rise is reached in the lower half of the depth",
        "inconclusive": "whether half of the rise is reached in the upper half of the depth is undecided",
    }[verdict]
    statement = f"{title(gain.curve)}: {summary}: at depth {at_depth(effect)} (X1)."
    return curve_finding(
        ExitFinding.X1,
        gain.curve,
        statement=statement,
        effect=effect,
        null="half of the rise is reached at depth 0.5",
        verdict=verdict,
    )


def mid_network_finding(gains: Sequence[LevelGain]) -> Finding:
    """Return X4: in every answered level, half of the rise is reached in the middle half of the depth."""
    answered = [gain for gain in gains if gain.is_answered]
    if not answered:
        return levels_finding(
            ExitFinding.X4,
            [gain.curve for gain in gains],
            statement="No onset to judge: no level is shown to be answered above its baselines (X4).",
            effect=Effect(estimate=float("nan")),
            null=_NULL_X4,
            verdict="inconclusive",
        )
    verdict = _mid_network_verdict(answered)
    outside = ", ".join(gain.curve.level for gain in _outside(answered))
    summary = {
        "supported": "In every level gains start mid-network",
        "not supported": f"Gains start outside the middle half in {outside}",
        "inconclusive": "Whether gains start mid-network is undecided",
    }[verdict]
    each = ", ".join(f"{gain.curve.level} {at_depth(gain.onset)}" for gain in answered)
    return levels_finding(
        ExitFinding.X4,
        [gain.curve for gain in answered],
        statement=f"{summary}; half of the rise is reached at depth: {each} (X4).",
        effect=_mid_network_effect(answered),
        null=_NULL_X4,
        verdict=verdict,
    )


def _outside(answered: Sequence[LevelGain]) -> list[LevelGain]:
    return [gain for gain in answered if gain.onset.within(LOWER, UPPER) == "not supported"]


def _mid_network_verdict(answered: Sequence[LevelGain]) -> Verdict:
    """Return the verdict on all levels together: supported if every interval is inside, refuted if one is outside."""
    return all_hold(gain.onset.within(LOWER, UPPER) for gain in answered)


def _mid_network_effect(answered: Sequence[LevelGain]) -> Effect:
    """Return the mean onset, the range of all intervals, and the largest share of draws outside (at least one draw)."""
    outside = [float(((gain.onset_draws <= LOWER) | (gain.onset_draws >= UPPER)).mean()) for gain in answered]
    return Effect(
        estimate=float(np.mean([gain.onset.estimate for gain in answered])),
        lo=min(gain.onset.lo for gain in answered),
        hi=max(gain.onset.hi for gain in answered),
        p=max([*outside, 1 / (1 + len(answered[0].onset_draws))]),
    )
