"""P-scales: deep layers hold more information on distant tokens than shallow layers."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.names import SegmentFinding


class ScalesClaim(FindingClaim):
    """The tokens 8 and 16 positions earlier must decode better from deep layers, beyond random weights."""

    name = "P-scales"
    summary = "shallow layers hold near tokens, deep ones distant tokens too"
    citation = ZHANG
    published = "Local, Intermediate and Global scales in the order of depth; no value"
    study = "segments"
    kind = SegmentFinding.REACH
    asked = "layeratlas run segments --set information=true"


PLUGIN = ScalesClaim()
