"""At which depth do gains start? The literal reading of the published claim X4."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.emergence import Emergence, measure_depth, start_depth
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.tests import normal_tail
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.exits.findings.gains import LevelGain
from layeratlas.studies.exits.findings.onsets import LOWER, UPPER
from layeratlas.studies.exits.findings.statements import at_depth, title
from layeratlas.studies.exits.names import ExitFinding


def start_findings(gains: Sequence[LevelGain]) -> list[Finding]:
    """Return, for each answered level, whether its gains start in the middle half of the depth.

    The start is the depth at which the line through a quarter and a half of the rise crosses the floor.
    """
    return [_finding(gain) for gain in gains if gain.is_answered]


def _finding(gain: LevelGain) -> Finding:
    curve = gain.curve
    effect = _effect(measure_depth(curve.excess, curve.gains, curve.depth, start_depth))
    verdict = effect.within(LOWER, UPPER)
    summary = {
        "supported": "gains start in the middle half of the network",
        "not supported": "gains start outside the middle half of the network",
        "inconclusive": "whether gains start in the middle half of the network is undecided",
    }[verdict]
    return curve_finding(
        ExitFinding.X4_START,
        curve,
        statement=f"{title(curve)}: {summary}: at depth {at_depth(effect)} (X4-start).",
        effect=effect,
        null=f"gains start outside depth {LOWER} to {UPPER}",
        verdict=verdict,
    )


def _effect(start: Emergence) -> Effect:
    """Return the depth with its interval; p is the larger of two one-sided tests against the ends of the middle half.

    p is at least the smallest value that the number of draws allows.
    """
    lo, hi = start.interval
    error = max(start.error, ROUNDING)
    beyond = max(normal_tail((start.estimate - LOWER) / error), normal_tail((UPPER - start.estimate) / error))
    return Effect(estimate=start.estimate, lo=lo, hi=hi, p=max(beyond, 1 / (1 + len(start.draws))))
