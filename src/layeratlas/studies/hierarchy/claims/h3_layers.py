"""H3-layers: in a large model the two peaks of relations and analogies lie at layers 12-16 and 25-33 of 80."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.stats.curves import depths
from layeratlas.stats.intervals import percentile_interval
from layeratlas.studies.hierarchy.citation import CITATION, LARGE
from layeratlas.studies.hierarchy.claims._places import Layers, kept_curve, placed
from layeratlas.studies.hierarchy.findings.second_peaks import double_peak
from layeratlas.studies.hierarchy.names import RESIDUAL, HierarchyFinding

_LEVELS = ("relation", "analogy")
_PUBLISHED = {"first peak": Layers(first=12, last=16, of=80), "second peak": Layers(first=25, last=33, of=80)}
_NEEDS = "layeratlas run hierarchy with the tasks relations and analogies, at standard size or full"


class DoublePeakLayersClaim(RunClaim):
    """Both levels must have two peaks, and all of these must lie within the published layers."""

    name = "H3-layers"
    summary = "the two peaks of relations and analogies lie at layers 12-16 and 25-33 of 80, by relative depth"
    citation = CITATION
    published = "70B: first peak at layers 12-16, second at 25-33 of 80; no interval"
    study = "hierarchy"
    about = LARGE

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the layers of both peaks, for levels with a supported second peak."""
        seconds = [finding for finding in run.of_kind(HierarchyFinding.SECOND_PEAK) if finding.level in _LEVELS]
        places = [place for finding in seconds if finding.verdict == "supported" for place in _places(run, finding)]
        return all_of(places, len(_LEVELS) * len(_PUBLISHED), _NEEDS)


def _places(run: FinishedRun, second: Finding) -> list[Finding]:
    """Compare both peaks of a level with the published layers, over the draws with two peaks; empty without draws."""
    curve = kept_curve(run, second.level)
    whole = None if curve is None else double_peak(curve.estimate, RESIDUAL)
    if curve is None or whole is None:
        return []
    depth = depths(len(curve.estimate), RESIDUAL)
    two = [peaks for draw in curve.draws if (peaks := double_peak(draw, RESIDUAL)) is not None] or [whole]
    found = []
    for name, at, drawn in (
        ("first peak", whole.first, [peaks.first for peaks in two]),
        ("second peak", whole.second, [peaks.second for peaks in two]),
    ):
        draws = depth[np.array(drawn)]
        lo, hi = (float(end) for end in percentile_interval(draws))
        peak = replace(second, level=f"{second.level} ({name})", estimate=float(depth[at]), lo=lo, hi=hi)
        found.append(placed(peak, _PUBLISHED[name], draws))
    return found


PLUGIN = DoublePeakLayersClaim()
