"""Is the last exit the best? It is compared with the exit before it and with the best other exit (X2, X3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.runs.finding import Finding, curve_finding
from layeratlas.stats.intervals import ALPHA, Z95, one_group
from layeratlas.stats.tests import two_sided_t
from layeratlas.stats.verdicts import Effect, Verdict, bootstrapped, holm_corrected
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.exits.findings.statements import title, with_span
from layeratlas.studies.exits.names import ExitFinding

# The levels that X2 and X3 are about.
FACTS = ("facts",)
CALCULATION_AND_REASONING = ("arithmetic", "calculation", "reasoning")


class ComparedExit(StrEnum):
    """The compared exits, with their names in statements."""

    LAST = "the last exit"
    LAST_BUT_ONE = "the last but one"
    BEST_OTHER = "the best other exit"


@dataclass(frozen=True, kw_only=True)
class ExitComparison:
    """The accuracy of a level's `first` exit minus that of the `second`, with p Holm-corrected over the levels."""

    curve: ExitCurve
    first: ComparedExit
    second: ComparedExit
    effect: Effect

    @property
    def verdict(self) -> Verdict:
        """Verdict on whether the first exit is better; `not supported` if it is worse. Both need p <= 0.05."""
        return self.effect.verdict() if self.effect.p <= ALPHA else "inconclusive"

    def turned(self) -> ExitComparison:
        """Return the same comparison with the two exits swapped."""
        turned = replace(self.effect, estimate=-self.effect.estimate, lo=-self.effect.hi, hi=-self.effect.lo)
        return replace(self, first=self.second, second=self.first, effect=turned)


def compare_last(curves: Sequence[ExitCurve]) -> list[ExitComparison]:
    """Return, for each level curve, the last exit against the exit before it, and against the best other exit.

    The first comparison needs the exit before the last to be read out, the second any other exit; comparisons that
    cannot be made are left out.
    """
    effects = {}
    if all(curve.layers[-2:] == [curve.layers[-1] - 1, curve.layers[-1]] for curve in curves):
        effects[ComparedExit.LAST_BUT_ONE] = holm_corrected([_against_previous(curve) for curve in curves])
    if all(len(curve.estimate) > 1 for curve in curves):
        effects[ComparedExit.BEST_OTHER] = holm_corrected([_against_best(curve) for curve in curves])
    return [
        ExitComparison(curve=curve, first=ComparedExit.LAST, second=place, effect=effect)
        for place, corrected in effects.items()
        for curve, effect in zip(curves, corrected, strict=True)
    ]


def _against_previous(curve: ExitCurve) -> Effect:
    """Return the paired difference of the last two exits."""
    draws = curve.draws[:, -1] - curve.draws[:, -2]
    estimate = float(curve.estimate[-1] - curve.estimate[-2])
    return bootstrapped(estimate, draws, curve.n_groups, least=-1.0, most=1.0)


def _against_best(curve: ExitCurve) -> Effect:
    """Return the last exit minus the best other exit, chosen on one half of the groups and measured on the other."""
    a, b = curve.half_a, curve.half_b
    gap = float(np.mean([_gap(chosen_on=a, read_on=b), _gap(chosen_on=b, read_on=a)]))
    spread = float((curve.draws[:, -1] - curve.draws[:, curve.estimate[:-1].argmax()]).std())
    spread = max(spread, one_group(curve.n_groups))
    p = two_sided_t(gap, spread, curve.degrees)
    return Effect(estimate=gap, lo=gap - Z95 * spread, hi=gap + Z95 * spread, p=p)


def _gap(*, chosen_on: Floats, read_on: Floats) -> float:
    best = chosen_on[:, :-1].argmax(1)[:, None]
    return float((read_on[:, -1] - np.take_along_axis(read_on, best, 1)[:, 0]).mean())


def last_findings(comparisons: Sequence[ExitComparison], readout_note: str) -> list[Finding]:
    """Return each comparison as a finding."""
    kinds = {ComparedExit.LAST_BUT_ONE: ExitFinding.LAST_EXIT, ComparedExit.BEST_OTHER: ExitFinding.LAST_AGAINST_BEST}
    return [_finding(kinds[comparison.second], comparison, readout_note) for comparison in comparisons]


def last_claims(comparisons: Sequence[ExitComparison], readout_note: str) -> list[Finding]:
    """Return X2 (facts peak at the last exit) and X3 (calculation and reasoning peak at the exit before the last)."""
    x2 = [
        _finding(ExitFinding.X2, comparison, f"{readout_note} (X2)")
        for comparison in comparisons
        if comparison.second is ComparedExit.BEST_OTHER and comparison.curve.level in FACTS
    ]
    x3 = [
        _finding(ExitFinding.X3, comparison.turned(), f"{readout_note} (X3)")
        for comparison in comparisons
        if comparison.second is ComparedExit.LAST_BUT_ONE and comparison.curve.level in CALCULATION_AND_REASONING
    ]
    return x2 + x3


def _finding(kind: ExitFinding, comparison: ExitComparison, note: str) -> Finding:
    first, second = comparison.first, comparison.second
    summary = {
        "supported": f"{first} answers better than {second}",
        "not supported": f"{first} answers worse than {second}",
        "inconclusive": f"whether {first} differs from {second} is undecided ({comparison.effect.could_have_seen})",
    }[comparison.verdict]
    return curve_finding(
        kind,
        comparison.curve,
        statement=f"{title(comparison.curve)}: {summary}: {with_span(comparison.effect)} in accuracy{note}.",
        effect=comparison.effect,
        null=f"{first} equals {second}",
        verdict=comparison.verdict,
    )
