"""X7-logic: size helps logic only past a threshold."""

from __future__ import annotations

from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.claims._sizes import ThresholdOfLevel


class LogicThresholdClaim(ThresholdOfLevel):
    """Logic at the last exit must rise by a threshold."""

    name = "X7-logic"
    summary = "size helps logic only past a threshold"
    citation = CHEN
    published = "ReClor at the last layer 20.0, 24.2, 26.4 % (7B, 13B, 70B); no interval"
    level = "logic"
    task = "logic"


PLUGIN = LogicThresholdClaim()
