"""H7-early: grammar peaks early, at layers 3-5 of 28."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION
from layeratlas.studies.hierarchy.claims._places import Layers, peaks_within

_PUBLISHED = {"grammar": Layers(first=3, last=5, of=28)}


class EarlyGrammarClaim(RunClaim):
    """The whole interval of the peak of grammaticality must lie within the published layers, by relative depth."""

    name = "H7-early"
    summary = "grammar peaks at layers 3-5 of 28, by relative depth"
    citation = CITATION
    published = "early (3-5) or sustained late (14), named by a third party's summary; which model is not said"
    study = "hierarchy"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the peak of grammar in the residual stream."""
        needs = "layeratlas run hierarchy with the task grammar, at standard size or full"
        return all_of(peaks_within(run, _PUBLISHED), len(_PUBLISHED), needs)


PLUGIN = EarlyGrammarClaim()
