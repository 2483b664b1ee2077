"""Intervals of a sample hold the accuracy of probes that further texts have trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import LargeSet, LinearProbeClassifier, Probed, make_design, probe_shards
from layeratlas.stats.measures import measures_for
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves

WIDTH, SIZE, TESTED, SHARED, STRENGTH, TRIALS = 30, 5, 40, 0.2, 0.7, 300
# The least of 300 intervals that hold if 95 % do; fewer would be a chance of 0.5 %. With one repeat, what training adds
# is not measured, and its bound is wide: the intervals may be wider than those of the true spread by so much.
LEAST, WIDEST = 275, 1.4


def texts(groups: int, rng: np.random.Generator, mean: np.ndarray):
    group = np.arange(groups * SIZE) // SIZE
    y = group % 2.0
    common, own = rng.standard_normal((groups, WIDTH))[group], rng.standard_normal((len(group), WIDTH))
    return np.where(y[:, None] == 1, 1, -1) * mean + np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own, y, group


def right(x: np.ndarray, y: np.ndarray, mean: np.ndarray) -> float:
    """Return the exact accuracy of a probe trained on these texts."""
    probe = LinearProbeClassifier("ridge").fit(x, y)
    length, ahead = np.linalg.norm(probe.coef_), (probe.coef_ @ mean).item()
    shift = probe.intercept_.item()
    return float(scipy.stats.norm.cdf([(ahead + shift) / length, (ahead - shift) / length]).mean())


@pytest.mark.truth
@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("others", [40, 400])
def test_intervals_hold_the_accuracy_of_probes_on_texts_like_these(others, repeats):
    mean = np.full(WIDTH, STRENGTH / np.sqrt(WIDTH))
    ends, exact, estimates = [], [], []
    items = tuple(Item(f"text {i}", f"class {i // SIZE % 2}", f"g{i // SIZE:04d}") for i in range(TESTED * SIZE))
    spec = ProbeSpec(methods=("ridge",), repeats=repeats, shuffles=20, bootstrap=400)
    whole = make_design(Dataset("planted", "planted", items), spec, 0)
    design = replace(whole, shuffled=whole.shuffled[:1], control_tasks=whole.control_tasks[:0], others=others * SIZE)
    sample = np.arange(TESTED * SIZE)
    for seed in range(TRIALS):
        x, y, group = texts(TESTED + others, np.random.default_rng([seed, others, repeats]), mean)
        large = LargeSet(y=y, groups=group, sample=sample)
        scores = probe_shards([(np.arange(len(x)), x.astype(np.float32))], large, design, ["ridge"])[0]
        probed = Probed(
            design=design,
            component="resid",
            method="ridge",
            scores=scores.scores[None],
            shuffled=scores.shuffled[None],
            baseline=dict.fromkeys(measures_for("classes", 2), 0.0),
        )
        sampler = Resampler([item.group for item in items], 400, seed, halves=2)
        curve = next(c for c in task_curves(probed, sampler) if c.metric == "accuracy")
        ends.append([float(end[0]) for end in curve.interval])
        estimates.append(float(curve.estimate[0]))
        if seed < 60:  # trained on as many texts as in a fold
            kept = np.concatenate([design.folds[0].train, np.arange(TESTED * SIZE, len(x))])
            exact.append(right(x[kept], y[kept], mean))
    lo, hi = np.array(ends).T
    truth = float(np.mean(exact))
    held = int(((lo <= truth) & (truth <= hi)).sum())
    print(
        f"{others} further groups, {repeats} repeats: {held} of {TRIALS} hold {truth:.3f}, width {np.mean(hi - lo):.3f}"
    )
    assert held >= LEAST
    assert np.mean(hi - lo) < WIDEST * 2 * 1.96 * np.std(estimates)
