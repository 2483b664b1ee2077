"""X4-start: gains start, rather than reach half of their rise, mid-network."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.names import ExitFinding


class StartClaim(FindingClaim):
    """The depth at which gains leave the floor must be in the middle half, in every level that is answered."""

    name = "X4-start"
    summary = "gains start mid-network in every task, by where they leave the floor"
    citation = CHEN
    published = "read off curves; no onset is given"
    study = "exits"
    kind = ExitFinding.X4_START
    asked = "layeratlas run exits"


PLUGIN = StartClaim()
