"""X7-truth: models hallucinate less only past a size."""

from __future__ import annotations

from layeratlas.studies.exits.citation import CHEN
from layeratlas.studies.exits.claims._sizes import ThresholdOfLevel


class TruthThresholdClaim(ThresholdOfLevel):
    """Truthfulness at the last exit must rise by a threshold."""

    name = "X7-truth"
    summary = "size reduces hallucinations (answers more truthfully) only past a threshold"
    citation = CHEN
    published = "TruthfulQA MC1 at the last layer 28.6, 29.1, 37.3 % (7B, 13B, 70B); no interval"
    level = "truthfulness"
    task = "truth"


PLUGIN = TruthThresholdClaim()
