"""H1: in a small model items peak earlier than relations, and relations earlier than analogies."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, SMALL

_PAIRS = ("item < relation", "relation < analogy")


class OrderClaim(RunClaim):
    """Both steps of the order must hold in the residual stream; one that is reversed decides against."""

    name = "H1"
    summary = "items peak earlier than relations, relations than analogies, in a small model"
    citation = CITATION
    published = "3B: items 2-7, relations 8-12, analogies 10-15 of 28 layers; no interval"
    study = "hierarchy"
    about = SMALL

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the order of peaks."""
        steps = [finding for finding in run.of_kind("order") if finding.level in _PAIRS]
        needs = "layeratlas run hierarchy with the tasks items, relations and analogies, at standard size or full"
        return all_of(steps, len(_PAIRS), needs)


PLUGIN = OrderClaim()
