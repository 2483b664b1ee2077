"""X3-logic: the layer before the last is best for logic too."""

from __future__ import annotations

from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.claims._last import LastButOneOfLevel


class LogicLastButOneClaim(LastButOneOfLevel):
    """The exit before the last must beat the last in logic."""

    name = "X3-logic"
    summary = "the layer before the last is best for logic"
    citation = CHEN
    published = "ReClor, last but one and last: 20.2 and 20.0, 23.6 and 24.2, 26.4 and 26.4 % (7B, 13B, 70B)"
    level = "logic"
    task = "logic"


PLUGIN = LogicLastButOneClaim()
