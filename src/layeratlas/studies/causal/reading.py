"""The accuracy of a linear probe on a set at each point, before and after erasure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, make_design, probe_layer
from layeratlas.stats.intervals import draws_interval, widened
from layeratlas.stats.measures import chance, credit
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.causal.effects import Reading
from layeratlas.studies.causal.moving import Plan, erased_vectors


def readings_of(vectors: FloatArray, data: Dataset, plan: Plan, probe: ProbeSpec, seed: int) -> list[Reading]:
    """Return the results of the run's first probe at each point of vectors (points, n, d)."""
    design = make_design(data, probe, seed)
    scored = [probe_layer(x.astype(np.float64), design, probe.methods[:1])[0] for x in vectors]
    credits = [_credit(result.scores, design) for result in scored]
    shuffles = np.stack([result.shuffled[0, 0] for result in scored])  # (points, shuffles)
    largest = shuffles.max(0)
    floor = chance("accuracy", design.y)
    left = [_left(x.astype(np.float64), design, plan, probe.methods[:1]) for x in vectors]
    groups = [item.group for item in data.items]
    sampler = Resampler(groups, probe.bootstrap, seed)
    return [
        Reading(
            gain=_gain(
                right, floor, groups, sampler, float((1 + (largest >= right.mean()).sum()) / (1 + len(largest)))
            ),
            chance=floor,
            left=left[i],
            shuffled=float(shuffles[i].mean()),
        )
        for i, right in enumerate(credits)
    ]


def _credit(scores: Floats, design: Design) -> Floats:
    """Return each text's share of correct predictions over the repeats, (n,)."""
    right: Floats = credit(scores, design.y).mean(0)
    return right


def _left(x: Floats, design: Design, plan: Plan, methods: Sequence[str]) -> float:
    return float(_credit(probe_layer(erased_vectors(x, plan), design, methods)[0].scores, design).mean())


def _gain(right: Floats, floor: float, groups: list[str], sampler: Resampler, p: float) -> Effect:
    weights = sampler.weights(groups, halves=False)
    means = (weights @ right) / np.maximum(weights.sum(1), 1)
    draws = widened(means[:1], means[1:], len(set(groups)), least=0.0, most=1.0)
    lo, hi = draws_interval(draws, len(set(groups)), least=0.0, most=1.0)
    return Effect(estimate=float(means[0] - floor), lo=float(lo) - floor, hi=float(hi) - floor, p=p)
