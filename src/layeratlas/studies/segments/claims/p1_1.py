"""P1.1: every model shows two prominent boundaries between layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import FindingClaim, all_of
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.names import SegmentFinding


class BoundariesClaim(FindingClaim):
    """In every model, two boundaries must beat boundary-free surrogates and have intervals below 0.15 of the depth."""

    name = "P1.1"
    summary = "every model shows two prominent boundaries between layers"
    citation = ZHANG
    published = "8 of 8 models; the criterion is not visible"
    study = "segments"
    kind = SegmentFinding.EXISTENCE
    asked = "layeratlas run segments"
    joins = True

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict over all models together."""
        findings = [
            replace(finding, statement=f"{run.model}: {finding.statement}")
            for run in runs
            for finding in run.of_kind(self.kind)
        ]
        return all_of(findings, len(runs), self.asked)


PLUGIN = BoundariesClaim()
