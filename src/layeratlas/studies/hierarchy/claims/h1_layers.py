"""H1-layers: items, relations and analogies peak at the published layers of a small model."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, SMALL
from layeratlas.studies.hierarchy.claims._places import Layers, peaks_within

_PUBLISHED = {
    "item": Layers(first=2, last=7, of=28),
    "relation": Layers(first=8, last=12, of=28),
    "analogy": Layers(first=10, last=15, of=28),
}
_NEEDS = "layeratlas run hierarchy with the tasks items, relations and analogies, at standard size or full"


class PublishedLayersClaim(RunClaim):
    """The whole interval of each peak must lie within the published layers, by relative depth."""

    name = "H1-layers"
    summary = "items peak at layers 2-7, relations at 8-12, analogies at 10-15 of 28, by relative depth"
    citation = CITATION
    published = "3B: items 2-7, relations 8-12, analogies 10-15 of 28 layers; no interval"
    study = "hierarchy"
    about = SMALL

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the peaks of the residual stream."""
        return all_of(peaks_within(run, _PUBLISHED), len(_PUBLISHED), _NEEDS)


PLUGIN = PublishedLayersClaim()
