"""X6-precision: floats with more decimals are harder."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.names import ExitFinding


class PrecisionClaim(FindingClaim):
    """The lead of integers over their float twins must grow with the decimals of the float."""

    name = "X6-precision"
    summary = "floats are harder the more decimals they have"
    citation = CHEN
    published = "Cal-Float with up to three decimals; values in plots only"
    study = "exits"
    kind = ExitFinding.X6_PRECISION
    asked = "layeratlas run exits with the task arithmetic"


PLUGIN = PrecisionClaim()
