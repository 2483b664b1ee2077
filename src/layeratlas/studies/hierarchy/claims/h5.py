"""H5: items and relations decode worse in the layers after their peaks."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, SMALL
from layeratlas.studies.hierarchy.names import HierarchyFinding

_LEVELS = ("item", "relation")
_NEEDS = "layeratlas run hierarchy with the tasks items and relations"


class DeclineClaim(RunClaim):
    """Both levels must decode worse at the last layer than at their peak."""

    name = "H5"
    summary = "items and relations decline after their peaks, in a small model"
    citation = CITATION
    published = "3B: a gradual decrease in deeper layers; no value"
    study = "hierarchy"
    about = SMALL

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the decline of both levels in the residual stream."""
        declines = [finding for finding in run.of_kind(HierarchyFinding.DECLINE) if finding.level in _LEVELS]
        return all_of(declines, len(_LEVELS), _NEEDS)


PLUGIN = DeclineClaim()
