"""Consistency of a report: which findings presuppose or exclude others, and how conflicts are resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isnan

from layeratlas.runs.finding import GATED, Finding, corrected, presupposing
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import Verdict

# Separator of the two levels in a finding about their order.
_BEFORE = " < "


def own_levels(finding: Finding) -> tuple[str, ...]:
    """Return the levels that a finding is about: one, or the two of an order."""
    return tuple(finding.level.split(_BEFORE))


def any_level(finding: Finding) -> tuple[str, ...]:
    """Return no level: the presupposed finding may be about any level."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Presupposes:
    """A finding of `kind` that is supported needs a supported finding of kind `needs`.

    The needed finding must have the same component and method, on each level that `levels` returns (on any level if it
    returns none). With `both_ways`, a finding that is `not supported` needs it too: for example, the order of two
    levels needs both to decode.
    """

    kind: str
    needs: str
    levels: Callable[[Finding], Sequence[str]] = own_levels
    both_ways: bool = False

    def decides(self, finding: Finding) -> bool:
        """Return whether the rule applies to a finding."""
        decided = finding.verdict == "supported" or (self.both_ways and finding.verdict == "not supported")
        return finding.finding == self.kind and decided

    def given(self, finding: Finding, report: Iterable[Finding]) -> list[Finding]:
        """Return the supported findings of a report that a finding presupposes."""
        levels = self.levels(finding)
        return [
            other
            for other in report
            if (other.finding, other.component, other.method) == (self.needs, finding.component, finding.method)
            and (not levels or other.level in levels)
            and other.verdict == "supported"
        ]

    def broken_by(self, finding: Finding, report: Iterable[Finding]) -> bool:
        """Return whether the rule applies and the presupposed finding is missing."""
        held = {other.level for other in self.given(finding, report)}
        return self.decides(finding) and not (set(self.levels(finding)) <= held if self.levels(finding) else held)

    def reason(self, finding: Finding) -> str:
        """Return what is odd about a finding with this verdict."""
        return f"without {self.needs}"

    @property
    def because(self) -> str:
        """The reason why a finding becomes inconclusive, as its statement says it."""
        return f"since '{self.needs}', which it presupposes, is not supported"


@dataclass(frozen=True, kw_only=True)
class Excludes:
    """A finding of `kind` with verdict `said` is excluded by one of kind `other` with verdict `other_said`.

    Both have the same level, component and method. The other finding is the more direct one and is kept.
    """

    kind: str
    said: Verdict
    other: str
    other_said: Verdict

    def decides(self, finding: Finding) -> bool:
        """Return whether the rule applies to a finding."""
        return finding.finding == self.kind and finding.verdict == self.said

    def given(self, finding: Finding, report: Iterable[Finding]) -> list[Finding]:
        """Return nothing, since the rule presupposes no finding."""
        return []

    def broken_by(self, finding: Finding, report: Iterable[Finding]) -> bool:
        """Return whether the report contains a finding that excludes this one."""
        return self.decides(finding) and any(
            (other.finding, other.verdict) == (self.other, self.other_said)
            and (other.level, other.component, other.method) == (finding.level, finding.component, finding.method)
            for other in report
        )

    def reason(self, finding: Finding) -> str:
        """Return what is odd about a finding with this verdict."""
        return f"beside {self.other}, which is {self.other_said}"

    @property
    def because(self) -> str:
        """The reason why a finding becomes inconclusive, as its statement says it."""
        return f"since '{self.other}' is {self.other_said}"


Rule = Presupposes | Excludes


def gated(findings: Iterable[Finding], rules: Iterable[Rule]) -> list[Finding]:
    """Return a report's findings without contradictions; each p is at least that of the presupposed findings.

    Adjusted p-values increase with p, so no finding that rests on p keeps a verdict if a presupposed finding loses its
    own. A finding may still contradict the report after the correction: for example, its verdict rests on an interval,
    and its level is no longer shown to be answered. It becomes inconclusive, and its statement says so.
    """
    report, known = list(findings), list(rules)
    for rule in known:
        report = [
            presupposing(finding, *rule.given(finding, report)) if rule.decides(finding) else finding
            for finding in report
        ]
    as_read = [finding for finding, _ in corrected(report)]
    for rule in known:
        for number, finding in enumerate(as_read):
            if rule.broken_by(finding, as_read):
                statement = f"{report[number].statement} {GATED}, {rule.because}."
                report[number] = replace(report[number], statement=statement, verdict="inconclusive")
                as_read[number] = report[number]
    return report


def contradictions(findings: Iterable[Finding], rules: Iterable[Rule]) -> list[str]:
    """Return the contradictions in a report, in words; empty if there are none.

    Contradictions are: a finding without a finding that it presupposes, or with one that excludes it; a question that
    is both supported and not supported; and support with p above 0.05.
    """
    report = list(findings)
    odds = [
        f"{_name(finding)} is {finding.verdict} {rule.reason(finding)}"
        for rule in rules
        for finding in report
        if rule.broken_by(finding, report)
    ]
    answers: dict[str, set[str]] = {}
    for finding in report:
        answers.setdefault(_name(finding), set()).add(finding.verdict)
        if finding.verdict == "supported" and not isnan(finding.p) and finding.p > ALPHA:
            odds.append(f"{_name(finding)} is supported at p = {finding.p:.3f}")
    both = {"supported", "not supported"}
    return odds + [f"{question} is supported and not supported" for question, given in answers.items() if both <= given]


def _name(finding: Finding) -> str:
    return f"{finding.finding} of {finding.level} ({finding.component}, {finding.method})"
