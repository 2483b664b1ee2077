"""H3: in a large model relations and analogies rise, fall and rise again."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, first_decided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import all_of
from layeratlas.studies.hierarchy.citation import CITATION, LARGE

_LEVELS = ("relation", "analogy")


class SecondPeak(Claim):
    """Both levels must have a second peak."""

    name = "H3"
    summary = "relations and analogies have a second peak in a large model"
    citation = CITATION
    published = "70B: first peak at layers 12-16, second at 25-33 of 80; absent at 3B; no interval"
    study = "hierarchy"
    about = LARGE

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on second peaks in the residual stream."""
        needs = "layeratlas run hierarchy with the tasks relations and analogies"

        def one(run: RunTables) -> Judgement:
            return all_of([row for row in run.found("second peak") if row["level"] in _LEVELS], len(_LEVELS), needs)

        return first_decided(self, runs, one)


PLUGIN = SecondPeak()
