"""H4: in a large model the attention outputs of neighbouring layers coordinate what they specialise in."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.runs.claim import Claim, Judgement, first_decided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import all_of
from layeratlas.studies.hierarchy.citation import CITATION, LARGE


class Coordination(Claim):
    """Second differences must agree over experiments, on the whole sample and between disjoint halves."""

    name = "H4"
    summary = "attention outputs of neighbouring layers move together over experiments in a large model"
    citation = CITATION
    published = "mean correlation 0.31 at 70B, 0.06 at 3B; anti-persistence -0.41 at 3B, which noise alone gives"
    study = "hierarchy"
    about = LARGE

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict on the attention outputs."""
        needs = "layeratlas run hierarchy with three tasks or more of different texts"

        def one(run: RunTables) -> Judgement:
            return all_of(run.found("coordination", "attn"), 1, needs)

        return first_decided(self, runs, one)


PLUGIN = Coordination()
