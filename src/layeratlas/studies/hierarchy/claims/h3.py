"""H3: in a large model, the curves of relations and analogies rise, fall and rise again."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, LARGE

_LEVELS = ("relation", "analogy")


class SecondPeakClaim(RunClaim):
    """Both levels must have a second peak in the residual stream."""

    name = "H3"
    summary = "relations and analogies have a second peak in a large model"
    citation = CITATION
    published = "70B: first peak at layers 12-16, second at 25-33 of 80; absent at 3B; no interval"
    study = "hierarchy"
    about = LARGE

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on second peaks."""
        peaks = [finding for finding in run.of_kind("second peak") if finding.level in _LEVELS]
        return all_of(peaks, len(_LEVELS), "layeratlas run hierarchy with the tasks relations and analogies")


PLUGIN = SecondPeakClaim()
