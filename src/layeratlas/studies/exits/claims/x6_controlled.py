"""X6-controlled: floats are harder than integers at equal tokens, carries and size."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.names import ExitFinding


class ControlledFloatsClaim(FindingClaim):
    """Floats must be harder than their integer twins after controlling for answer tokens, carries and size."""

    name = "X6-controlled"
    summary = "floats are harder than integers at equal tokens, carries and size"
    citation = CHEN
    published = "Cal-Int above Cal-Float at equal digits; no control"
    study = "exits"
    kind = ExitFinding.X6_CONTROLLED
    asked = "layeratlas run exits with the task arithmetic"


PLUGIN = ControlledFloatsClaim()
