"""H6: deep layers hold properties of whole documents."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.hierarchy.citation import CITATION
from layeratlas.studies.hierarchy.names import HierarchyFinding


class DeepDocumentsClaim(FindingClaim):
    """The last quarter of depth must decode documents better than words and lengths alone."""

    name = "H6"
    summary = "deep layers represent document-wide abstractions"
    citation = CITATION
    published = "said of the deep layers of both models; no value"
    study = "hierarchy"
    kind = HierarchyFinding.DEEP_DOCUMENTS
    asked = "layeratlas run hierarchy with the task documents, at standard size or full"


PLUGIN = DeepDocumentsClaim()
