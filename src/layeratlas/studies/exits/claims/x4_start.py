"""X4-start: gains start mid-network (X4 itself asks where they reach half of their rise)."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.names import ExitFinding


class StartClaim(FindingClaim):
    """In every answered level, gains must leave the floor within the middle half of the depth."""

    name = "X4-start"
    summary = "gains start mid-network in every task, by where they leave the floor"
    citation = CHEN
    published = "read off curves; no onset is given"
    study = "exits"
    kind = ExitFinding.X4_START
    asked = "layeratlas run exits"


PLUGIN = StartClaim()
