"""The accuracy of a linear probe on a set at each point, before and after erasure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, make_design, probe_layer, training_of
from layeratlas.stats.design_effects import credit_factor, effective
from layeratlas.stats.intervals import share_interval, widened
from layeratlas.stats.measures import chance, credit
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import rank_p
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.causal.effects import Reading
from layeratlas.studies.causal.moving import Plan, erased_vectors


def readings_of(vectors: FloatArray, data: Dataset, plan: Plan, probe: ProbeSpec, seed: int) -> list[Reading]:
    """Return the results of the run's first probe at each point of vectors (points, n, d)."""
    design = make_design(data, probe, seed)
    scored = [probe_layer(x.astype(np.float64), design, probe.methods[:1])[0] for x in vectors]
    shuffles = np.stack([result.shuffled[0, 0] for result in scored])  # (points, shuffles)
    largest = shuffles.max(0)
    floor = chance("accuracy", design.y)
    left = [_left(x.astype(np.float64), design, plan, probe.methods[:1]) for x in vectors]
    sampler = Resampler([item.group for item in data.items], probe.bootstrap, seed)
    return [
        Reading(
            gain=_gain(result.scores, design, sampler, p=rank_p(float(_credit(result.scores, design).mean()), largest)),
            chance=floor,
            left=left[i],
            shuffled=float(shuffles[i].mean()),
        )
        for i, result in enumerate(scored)
    ]


def _credit(scores: Floats, design: Design) -> Floats:
    """Return each text's share of correct predictions over the repeats, (n,)."""
    right: Floats = credit(scores, design.y).mean(0)
    return right


def _left(x: Floats, design: Design, plan: Plan, methods: Sequence[str]) -> float:
    return float(_credit(probe_layer(erased_vectors(x, plan), design, methods)[0].scores, design).mean())


def _gain(scores: Floats, design: Design, sampler: Resampler, p: float) -> Effect:
    """Return the accuracy over chance of scores (repeats, n, k), with the interval of a curve's accuracy."""
    groups = [item.group for item in design.data.items]
    count, floor = len(set(groups)), chance("accuracy", design.y)
    weights = sampler.weights(groups, halves=False)
    right = _credit(scores, design)
    means = (weights @ right) / np.maximum(weights.sum(1), 1)
    times = training_of(scores, design)
    draws = widened(means[0], means[1:], count, times=times, least=0.0, most=1.0)
    of = effective(np.ones(len(groups)), design.data.groups)
    lo, hi = share_interval(means[:1], draws[:, None], count, of, times * credit_factor(right))
    return Effect(estimate=float(means[0] - floor), lo=float(lo[0]) - floor, hi=float(hi[0]) - floor, p=p)
