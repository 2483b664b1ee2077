"""Intervals at the widths of real models, against an analytic truth: what fitted probes would score on all texts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

import planting
from layeratlas.core import registry
from layeratlas.probes import make_design, probe_layer
from layeratlas.probes._dual import fitted_weights
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves

SPEC = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 2, "bootstrap": 400})
# Width, groups, texts of a group, strength (half the distance of the classes, in standard deviations), and the share of
# the noise that the texts of a group have in common.
CELLS = [
    (576, 8, 10, 1.6, 0.2),
    (576, 13, 8, 1.6, 0.2),
    (576, 40, 5, 1.3, 0.0),
    (576, 40, 5, 1.3, 0.2),
    (3072, 40, 5, 2.0, 0.2),
]


def simulated(width: int, groups: int, size: int, strength: float, shared: float, seed: int) -> tuple[float, ...]:
    """Return the interval of an accuracy, and the exact accuracy of its probes on all texts.

    A probe with weights w and intercept b is right on texts of either class with probability Phi((+-w.m + b) / |w|).
    """
    data = planting.planted_data(groups * size, size)
    rng = np.random.default_rng([seed, groups, width])
    mean = rng.standard_normal(width)
    mean *= strength / np.linalg.norm(mean)
    y = np.where(data.y == 1, 1.0, -1.0)
    common = rng.standard_normal((groups, width))[np.arange(groups * size) // size]
    own = rng.standard_normal((groups * size, width))
    x = y[:, None] * mean + np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    design = make_design(data, SPEC, seed)
    right = []
    for fold in design.folds:
        weights = fitted_weights(registry.get("probes", "ridge"), x[fold.train], y[fold.train, None])
        length, ahead = np.linalg.norm(weights.coef), float((weights.coef @ mean).item())
        shift = float(weights.intercept.item())
        right.append((norm.cdf((ahead + shift) / length) + norm.cdf((ahead - shift) / length)) / 2)
    probed = probe_layer(x, design, ["ridge"])[0]
    sampler = Resampler([item.group for item in data.items], SPEC.bootstrap, seed)
    curves = task_curves(planting.probed_from(design, probed.scores[None], probed.shuffled[None]), sampler)
    lo, hi = next(c for c in curves if c.metric == "accuracy" and c.stratum == "all").interval
    return float(lo[0]), float(hi[0]), float(np.mean(right))


def covered(cell: tuple[int, int, int, float, float], runs: int) -> int:
    """Return how many intervals hold the expected accuracy: the mean of the exact ones over all training sets."""
    made = np.array([simulated(*cell, seed) for seed in range(runs)])
    truth = made[:, 2].mean()
    return int(((made[:, 0] <= truth) & (truth <= made[:, 1])).sum())


def test_an_interval_at_a_real_width_holds_the_exact_accuracy():
    assert binom.cdf(covered(CELLS[1], 12), 12, 0.93) > 0.01


@pytest.mark.truth
def test_intervals_at_real_widths_hold_the_exact_accuracy_as_often_as_they_say():
    runs = 100
    hits = {cell: covered(cell, runs) for cell in CELLS}
    print(hits)
    assert min(binom.cdf(count, runs, 0.93) for count in hits.values()) > 0.01
    assert 0.92 <= sum(hits.values()) / (runs * len(CELLS)) <= 0.975
