"""P1.1: every model shows two prominent boundaries between layers."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import Found, all_of
from layeratlas.studies.segments.citation import ZHANG


class Boundaries(Found):
    """Two cuts must beat boundary-free surrogates and be placed within 0.15 of the depth, in every model."""

    name = "P1.1"
    summary = "every model shows two prominent boundaries between layers"
    citation = ZHANG
    published = "8 of 8 models; the criterion is not visible"
    study = "segments"
    findings = ("P1.1", "existence")
    asked = "layeratlas run segments"
    joins = True

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict over all models at once."""
        rows = []
        for run in runs:
            found = next((mine for name in self.findings if (mine := run.found(name))), [])
            rows += [row | {"statement": f"{run.model}: {row['statement']}"} for row in found]
        return all_of(rows, len(runs), self.asked)


PLUGIN = Boundaries()
