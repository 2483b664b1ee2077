"""P-bottleneck: layers compress the input and keep the information that predicts the next token."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.names import SegmentFinding


class BottleneckClaim(FindingClaim):
    """Deep layers must hold less information on the current token and more on the next, each beyond random weights."""

    name = "P-bottleneck"
    summary = "layers compress the input and keep what predicts the next token"
    citation = ZHANG
    published = "a transformer is an information bottleneck at several scales; no value"
    study = "segments"
    kind = SegmentFinding.BOTTLENECK
    asked = "layeratlas run segments --set information=true"


PLUGIN = BottleneckClaim()
