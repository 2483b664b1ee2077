"""H2: deep layers keep early, narrow content that is compressed, not abstracted."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION


class CompressionClaim(RunClaim):
    """Deep layers must encode buried items and relations, and encode them better than abstractions."""

    name = "H2"
    summary = "deep layers keep narrow content of early text, compressed rather than abstracted"
    citation = CITATION
    published = "buried relations are decoded at layer 35 (of 80, presumably 70B); no interval"
    study = "hierarchy"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the deep layers of the residual stream."""
        findings = [*run.of_kind("deep content"), *run.of_kind("deep compression")]
        return all_of(findings, 2, "layeratlas run hierarchy with the tasks buried and documents")


PLUGIN = CompressionClaim()
