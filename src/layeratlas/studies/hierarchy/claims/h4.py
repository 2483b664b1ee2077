"""H4: in a large model, the attention outputs of neighbouring layers alternate in their specialisation."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, LARGE


class CoordinationClaim(RunClaim):
    """A layer's specialisation, beyond what all tasks share, must be opposite to that of its neighbours."""

    name = "H4"
    summary = "attention outputs of neighbouring layers take turns in what they specialise in, in a large model"
    citation = CITATION
    published = "mean correlation 0.31 at 70B, 0.06 at 3B; anti-persistence -0.41 at 3B, which noise alone gives"
    study = "hierarchy"
    about = LARGE

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the attention outputs."""
        needs = "layeratlas run hierarchy with at least three tasks of different texts"
        return all_of(run.of_kind("coordination", "attn"), 1, needs)


PLUGIN = CoordinationClaim()
