"""Which halves and named spans a level needs, and whether it needs the lower half more than the upper half."""

from __future__ import annotations

import math
from collections.abc import Sequence

from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.intervals import ALPHA, draws_interval
from layeratlas.stats.tests import sign_flip
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.exits.ablation.effects import AblationEffect, loss_verdict
from layeratlas.studies.exits.ablation.plan import WIDE, Role
from layeratlas.studies.exits.findings.statements import with_span
from layeratlas.studies.exits.names import ExitFinding


def ablation_findings(effects: Sequence[AblationEffect], method: str) -> list[Finding]:
    """Return, for each level, the effects of halves and named spans, and whether the lower half matters more.

    `method` is the score under which the findings are listed. An ablation matters if accuracy falls (p-values are
    Holm-corrected over the level's halves and spans). The statement also compares the fall with that of random ranges
    of the same width.
    """
    findings = []
    for level in dict.fromkeys(effect.level for effect in effects):
        wide = [e for e in effects if e.level == level and e.ablation.role in WIDE]
        findings += [_range_finding(effect, len(wide), method) for effect in wide]
        halves = [effect for effect in wide if effect.ablation.role == Role.HALF]
        if len(halves) == 2:
            lower, upper = halves
            findings.append(_halves_finding(lower, upper, method))
    return findings


def groups_needed(tests: int) -> int:
    """Return how many groups exact sign flips need before one of `tests` can be supported (Holm, 0.05).

    With G groups the smallest p-value is 2^(1 - G), so G must be at least 1 + log2(tests / 0.05).
    """
    return math.ceil(1 + math.log2(tests / ALPHA))


def _too_few(effect: AblationEffect, tests: int) -> str:
    needed = groups_needed(tests)
    if effect.n_groups >= needed:
        return ""
    return f" {effect.n_groups} groups are too few to support a change; {needed} are needed."


def _range_finding(effect: AblationEffect, tests: int, method: str) -> Finding:
    ablation, change = effect.ablation, effect.change
    summary = {
        "supported": "accuracy is lower",
        "not supported": "accuracy is higher",
        "inconclusive": f"no change of accuracy is detected ({change.could_have_seen})",
    }[effect.verdict]
    return curve_finding(
        ExitFinding.ABLATION,
        Subject(level=effect.level, component=ablation.component, method=method, n=effect.n),
        statement=f"{effect.level}: without the {ablation.name} ({ablation.blocks}) {summary}, {effect.ablated:.2f} "
        f"against {effect.clean:.2f}, change {with_span(change)}; the share of ranges of the same width that cost as "
        f"much or more is {effect.share_as_large:.2f}.{_too_few(effect, tests)}",
        effect=change,
        null="no change (exact sign flips of groups, Holm)",
        verdict=effect.verdict,
    )


def _halves_finding(lower: AblationEffect, upper: AblationEffect, method: str) -> Finding:
    lo, hi = draws_interval(lower.draws - upper.draws, len(lower.group_sums), least=-2.0, most=2.0)
    difference = Effect(
        estimate=lower.change.estimate - upper.change.estimate,
        lo=float(lo),
        hi=float(hi),
        p=sign_flip(lower.group_sums - upper.group_sums),
    )
    verdict = loss_verdict(difference)
    summary = {
        "supported": "losing the lower half costs more than losing the upper half",
        "not supported": "losing the lower half costs less than losing the upper half",
        "inconclusive": f"no difference in what the halves cost is detected ({difference.could_have_seen})",
    }[verdict]
    return curve_finding(
        ExitFinding.ABLATION_OF_HALVES,
        Subject(level=lower.level, component="resid", method=method, n=lower.n),
        statement=f"{lower.level}: {summary}: {lower.change.estimate:+.2f} against {upper.change.estimate:+.2f}, "
        f"difference {with_span(difference)}.{_too_few(lower, 1)}",
        effect=difference,
        null="both halves cost the same (exact sign flips of groups)",
        verdict=verdict,
    )
