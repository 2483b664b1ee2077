"""X4: gains start mid-network in every task."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class MiddleStartClaim(FindingClaim):
    """In every answered level, accuracy must pass half of its rise within the middle half of the depth."""

    name = "X4"
    summary = "gains start mid-network in every task"
    citation = CHEN
    published = "read off curves; no onset is given"
    study = "exits"
    kind = "X4"
    asked = "layeratlas run exits"


PLUGIN = MiddleStartClaim()
