"""An estimate of brittleness with the result of its test, and its finding."""

from __future__ import annotations

from dataclasses import dataclass

from layeratlas.runs.finding import Finding, Subject, curve_finding
from layeratlas.stats.verdicts import Effect, Verdict
from layeratlas.studies.segments.names import SegmentFinding
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.estimate import Estimate

_NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Result:
    """An estimate and the result of its test."""

    estimate: Estimate
    null: str
    verdict: Verdict
    p: float = _NAN

    def finding(
        self, brittleness: Brittleness, kind: SegmentFinding, level: str, statement: str, method: str = ""
    ) -> Finding:
        """Return the finding under the run's noise, or under another perturbation (`method`)."""
        value, lo, hi = self.estimate.numbers
        return curve_finding(
            kind,
            Subject(
                level=level, component="resid", method=method or brittleness.spec.noise, n=brittleness.effects.passages
            ),
            statement=statement,
            effect=Effect(estimate=value, lo=lo, hi=hi, p=self.p),
            null=self.null,
            verdict=self.verdict,
        )
