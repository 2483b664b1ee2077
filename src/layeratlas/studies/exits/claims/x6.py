"""X6: floats are harder than integers."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class HarderFloatsClaim(FindingClaim):
    """Integer problems and their float twins are compared in pairs."""

    name = "X6"
    summary = "floats are harder than integers"
    citation = CHEN
    published = "Cal-Int above Cal-Float at equal digits; values in plots only"
    study = "exits"
    kind = "X6"
    asked = "layeratlas run exits with the task arithmetic"


PLUGIN = HarderFloatsClaim()
