"""Courses of training with known steps and depths: intervals hold them, and flat courses are not called learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from layeratlas.stats.contrasts import adjusted
from layeratlas.stats.emergence import emergence_depth
from layeratlas.stats.quantities import Quantity
from layeratlas.stats.training import OverTraining, drift, emerged

STEPS = (5, 10, 20, 40, 80, 160, 320, 640)
AXIS = np.log2(1.0 + np.array(STEPS))
SHARE = (AXIS - AXIS[0]) / (AXIS[-1] - AXIS[0])
DRAWS, SPREAD, SHARED = 400, 0.02, 0.5
LEVELS = 5


def course(truth: np.ndarray, rng: np.random.Generator, grain: float = 0.0) -> OverTraining:
    """A course with the noise of the texts, half of which all checkpoints share, and as much in every draw."""
    noise = rng.standard_normal((1 + DRAWS, len(STEPS))) * np.sqrt(1 - SHARED)
    noise += rng.standard_normal((1 + DRAWS, 1)) * np.sqrt(SHARED)
    seen = truth + SPREAD * noise[0]
    unit = "depth" if grain else "value"
    draws = SPREAD * noise[1:]
    values = [Quantity(estimate=float(at), noise=draws[:, i], grain=grain, unit=unit) for i, at in enumerate(seen)]
    return OverTraining(steps=STEPS, values=values)


def learned(rng: np.random.Generator) -> np.ndarray:
    return 0.55 + 0.3 / (1 + np.exp(-(AXIS - rng.uniform(4.5, 8)) / rng.uniform(0.25, 1)))


def steps_held(rng: np.random.Generator) -> bool:
    truth = learned(rng)
    true = 2 ** (AXIS[0] + float(emergence_depth(truth - truth[0], SHARE)) * (AXIS[-1] - AXIS[0])) - 1
    step = emerged(course(truth, rng)).step
    return step.lo <= true <= step.hi


def drifts_held(rng: np.random.Generator) -> bool:
    move = rng.uniform(-0.3, 0.3)
    lo, hi = drift(course(0.4 + move * SHARE, rng, grain=0.01)).interval
    return lo <= move <= hi


def nothing_learned(rng: np.random.Generator) -> bool:
    changes = [course(np.full(len(STEPS), 0.7), rng).change for _ in range(LEVELS)]
    return min(adjusted(changes)) > 0.05


@pytest.mark.truth
@pytest.mark.parametrize("held", [steps_held, drifts_held, nothing_learned])
def test_intervals_hold_the_truth_and_flat_courses_stay_flat(held: Callable[[np.random.Generator], bool]) -> None:
    trials = 400
    hits = sum(held(np.random.default_rng([seed, 5])) for seed in range(trials))
    print(f"{held.__name__}: {hits} of {trials}")
    assert hits >= binom.ppf(0.01, trials, 0.95), (held.__name__, hits / trials)
