"""X3: the layer before the last is best for calculation and reasoning."""

from __future__ import annotations

from layeratlas.runs.judging import FindingClaim
from layeratlas.studies.exits.citation import CHEN


class LastButOneClaim(FindingClaim):
    """The exit before the last must beat the last, in calculation and in reasoning."""

    name = "X3"
    summary = "the layer before the last is best for calculation and reasoning"
    citation = CHEN
    published = "MPS-Cal: 30.34 against 28.65 % (7B); MPS-Rea falls by 4.8, 6.0 and 15.1 points there"
    study = "exits"
    kind = "X3"
    asked = "layeratlas run exits with the tasks arithmetic and word_problems"


PLUGIN = LastButOneClaim()
