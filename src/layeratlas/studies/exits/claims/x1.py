"""X1: calculation lives in the upper layers."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class UpperCalculationClaim(FindingClaim):
    """Half of the rise above the best baseline must come in the upper half."""

    name = "X1"
    summary = "calculation lives in the upper layers"
    citation = CHEN
    published = "MPS-Cal: best at layers 31 of 32, 39 of 40 and 78 of 80; no interval"
    study = "exits"
    kind = "X1"
    asked = "layeratlas run exits with the tasks arithmetic and word_problems"


PLUGIN = UpperCalculationClaim()
