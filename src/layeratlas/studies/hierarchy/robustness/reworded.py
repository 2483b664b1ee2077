"""The curves of every level under the run's other wordings, from which a layer to probe is chosen too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from layeratlas.data.items import WORDINGS, Dataset
from layeratlas.probes import Design, Probed
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, level_curve
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy.controls.random_weights import short_sets
from layeratlas.studies.hierarchy.curves import groups_by_level, samplers_of, task_curves
from layeratlas.studies.hierarchy.designs import methods_for
from layeratlas.studies.hierarchy.layers import SCORES
from layeratlas.studies.hierarchy.names import RESIDUAL, ROBUSTNESS, WHOLE
from layeratlas.studies.hierarchy.recommending import Reworded, Whose
from layeratlas.studies.hierarchy.robustness.stage import MOST_TEXTS, scores_file
from layeratlas.studies.hierarchy.robustness.variants import own_design, wording


def reworded_curves(work: Workspace) -> Reworded:
    """Return the curves of the residual stream under other wordings, by the first probe and measure.

    They are resampled with the run's own curves, so that halves have the same groups. Empty if the run did not measure
    robustness; a level has a curve only if each of its data sets was read in other wordings.
    """
    if not (work.folder / ROBUSTNESS).is_file():
        return {}
    samplers = samplers_of(work, groups_by_level(work))
    found: dict[Whose, Sequence[Curve]] = {}
    for data in short_sets(work):
        curves = _curves_of(work, data, samplers[data.level])
        found |= {(data.level, data.name, RESIDUAL): curves} if curves else {}
    for level in dict.fromkeys(level for level, *_ in found):
        every = [found.get((level, data.name, RESIDUAL), []) for data in work.material if data.level == level]
        if all(every):
            groups = len({item.group for data in work.material if data.level == level for item in data.items})
            found[level, WHOLE, RESIDUAL] = [level_curve(curves, groups) for curves in zip(*every, strict=True)]
    return found


def _curves_of(work: Workspace, data: Dataset, sampler: Resampler) -> list[Curve]:
    """Return a data set's curve in each other wording; none if it was not read in them."""
    files = [work.folder / scores_file(data, wording(number)) for number in range(1, WORDINGS)]
    if not all(file.is_file() for file in files):
        return []
    design = own_design(data, MOST_TEXTS[work.spec.size], work.spec.probe, work.spec.seed)
    method = methods_for(work, data)[0]
    return [_curve(design, method, load_shard(file, work.key)[0][SCORES], sampler) for file in files]


def _curve(design: Design, method: str, scores: np.ndarray, sampler: Resampler) -> Curve:
    """Return the curve of scores over all texts, without references."""
    measures = measures_for(design.data.kind, design.classes)
    probed = Probed(
        design=replace(design, strata=(WHOLE,)),
        component=RESIDUAL,
        method=method,
        scores=scores,
        shuffled=np.full((len(scores), 1, len(measures), 1), np.nan),
        baseline=dict.fromkeys(measures, float("nan")),
    )
    return task_curves(probed, sampler)[0]
