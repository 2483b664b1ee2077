"""H2-layer: buried relations peak at layer 35 of 80."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.studies.hierarchy.citation import CITATION, LARGE
from layeratlas.studies.hierarchy.claims._places import Layers, peaks_within

# The source names a single layer. The tolerance of four layers (0.05 of the depth) is the one used in comparisons.
_PUBLISHED = {"buried relation": Layers(first=32, last=38, of=80)}
_NEEDS = "layeratlas run hierarchy with the tasks relations and buried, at standard size or full"


class BuriedLayerClaim(RunClaim):
    """The whole interval of the peak must lie within 0.05 of the published depth."""

    name = "H2-layer"
    summary = "buried relations peak at layer 35 of 80, by relative depth"
    citation = CITATION
    published = "layer 35 (of 80, presumably 70B), named by a third party's summary; no interval"
    study = "hierarchy"
    about = LARGE

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the peak of buried relations in the residual stream."""
        return all_of(peaks_within(run, _PUBLISHED), 1, _NEEDS)


PLUGIN = BuriedLayerClaim()
