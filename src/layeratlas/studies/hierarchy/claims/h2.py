"""H2: deep layers keep early, narrow content in compressed rather than abstracted form."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION
from layeratlas.studies.hierarchy.names import HierarchyFinding

_LEVELS = ("buried item", "buried relation")
_KINDS = (HierarchyFinding.DEEP_CONTENT, HierarchyFinding.DEEP_COMPRESSION)


class CompressionClaim(RunClaim):
    """Deep layers must encode buried items and buried relations, each more than the same content when not buried."""

    name = "H2"
    summary = "deep layers keep narrow content of early text, compressed rather than abstracted"
    citation = CITATION
    published = "buried relations are decoded at layer 35 (of 80, presumably 70B); no interval"
    study = "hierarchy"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the deep layers of the residual stream."""
        findings = [finding for kind in _KINDS for finding in run.of_kind(kind) if finding.level in _LEVELS]
        needs = "layeratlas run hierarchy with the tasks items, relations and buried, at standard size or full"
        return all_of(findings, len(_KINDS) * len(_LEVELS), needs)


PLUGIN = CompressionClaim()
