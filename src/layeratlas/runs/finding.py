"""A finding of a run, and its correction over all findings of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import isnan
from typing import Protocol

from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.tests import false_discovery
from layeratlas.stats.verdicts import Effect, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A statement about a run, with the effect, interval and test that it rests on.

    - `finding`: its kind, as the study names it (`peak`, `boundary` ...);
    - `level`, `component`, `method`: the curve: its level (or segment, or `all`), component (`resid`, `attn`,
      `mlp`) and method (the probe, the score, the segmentation);
    - `statement`: one sentence in plain words;
    - `estimate`, `lo`, `hi`: the effect with its 95 % interval, in the unit of its kind; NaN if there is none;
    - `p`: the p-value against `null` (in words), corrected if several are read together; NaN without a test;
    - `verdict`: `supported`, `not supported` (an opposite effect, or one too small to matter) or `inconclusive`;
    - `n`: how many items (or passages, models) it rests on.
    """

    finding: str
    level: str
    component: str
    method: str
    statement: str
    estimate: float
    lo: float
    hi: float
    p: float
    null: str
    verdict: Verdict
    n: int


# How the statement of a finding ends that lost its verdict to the correction over the report, and to other findings.
CORRECTED = "Inconclusive after the correction"
GATED = "Inconclusive in this report"
FINDING_FIELDS = tuple(field.name for field in fields(Finding))


def corrected(findings: Sequence[Finding]) -> list[tuple[Finding, float]]:
    """Return the findings of a report after the correction over all of them, each with its adjusted p-value."""
    qs = false_discovery([finding.p for finding in findings])
    return [(_after_correction(finding, q), q) for finding, q in zip(findings, qs, strict=True)]


def _after_correction(finding: Finding, q: float) -> Finding:
    """Return the finding, made inconclusive (with a note in its statement) if the correction removes its verdict.

    An opposite effect is a discovery too, and loses its verdict like a supported one. An equivalence does not rest on p
    and keeps its verdict.
    """
    discovered = finding.verdict == "supported" or (finding.verdict == "not supported" and finding.p <= ALPHA)
    if not discovered or isnan(q) or q <= ALPHA:
        return finding
    reason = f"{CORRECTED} over all findings of the report: q = {q:.3f}, above {ALPHA:g}."
    return replace(finding, verdict="inconclusive", statement=f"{finding.statement} {reason}")


def presupposing(finding: Finding, *others: Finding) -> Finding:
    """Return a finding that presupposes `others`, with p raised to at least theirs.

    Its `q` is then also at least theirs (adjusted p-values increase with p), so it never stays supported when one of
    them loses its support.
    """
    if isnan(finding.p):
        return finding
    return replace(finding, p=max([finding.p, *(other.p for other in others if not isnan(other.p))]))


class OfOneCurve(Protocol):
    """The fields that identify a curve: level, component and method, and its number of items."""

    @property
    def level(self) -> str:
        """The level that is measured."""

    @property
    def component(self) -> str:
        """The component that is read."""

    @property
    def method(self) -> str:
        """The probe or the score."""

    @property
    def n(self) -> int:
        """The number of items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of a finding about several curves: the names it is listed under, and the number of items."""

    level: str
    component: str
    method: str
    n: int

    @classmethod
    def of(cls, level: str, *curves: OfOneCurve) -> Subject:
        """Return the joint subject of curves of one component and method, under the name `level`."""
        n = sum(curve.n for curve in curves)
        return cls(level=level, component=curves[0].component, method=curves[0].method, n=n)


def curve_finding(
    kind: str, curve: OfOneCurve, *, statement: str, effect: Effect, null: str, verdict: Verdict
) -> Finding:
    """Return a finding about one curve or one subject."""
    return Finding(
        finding=kind,
        level=curve.level,
        component=curve.component,
        method=curve.method,
        statement=statement,
        estimate=effect.estimate,
        lo=effect.lo,
        hi=effect.hi,
        p=effect.p,
        null=null,
        verdict=verdict,
        n=curve.n,
    )
