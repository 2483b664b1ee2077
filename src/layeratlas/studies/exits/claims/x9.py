"""X9: low layers reason abstractly."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.names import ExitFinding


class LowReasoningClaim(FindingClaim):
    """Exits of the lower third must beat every baseline in reasoning and in logic."""

    name = "X9"
    summary = "low layers reason abstractly"
    citation = CHEN
    published = "MPS-Rea 44.7-44.9 and ReClor 14.4-15.0 % at layer 1, which the fewest tokens give for ReClor"
    study = "exits"
    kind = ExitFinding.X9
    asked = "layeratlas run exits with the tasks word_problems and logic"


PLUGIN = LowReasoningClaim()
