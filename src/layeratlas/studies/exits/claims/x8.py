"""X8: low layers carry cross-lingual ability."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class LowLanguagesClaim(FindingClaim):
    """Low exits must beat every baseline, and agree between languages."""

    name = "X8"
    summary = "low layers carry cross-lingual ability"
    citation = CHEN
    published = "layer 1: es 17, fr 20, zh 12, th 4 %, which the fewest tokens alone give"
    study = "exits"
    kind = "X8"
    asked = "layeratlas run exits with the task xmps"


PLUGIN = LowLanguagesClaim()
