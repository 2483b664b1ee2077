"""X2: facts peak at the last layer."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class LastFactsClaim(FindingClaim):
    """The last exit must beat the best other exit, chosen on one half of the groups and measured on the other."""

    name = "X2"
    summary = "facts peak at the last layer"
    citation = CHEN
    published = "LAMA: last 57.87, 57.97, 58.71 %, last but one 48.12, 56.59, 49.70 % (7B, 13B, 70B)"
    study = "exits"
    kind = "X2"
    asked = "layeratlas run exits with the task facts"


PLUGIN = LastFactsClaim()
