"""Courses of training with known steps and depths: intervals hold them, and flat courses are not called learned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from layeratlas.stats.contrasts import adjusted
from layeratlas.stats.emergence import emergence_depth
from layeratlas.stats.quantities import Quantity
from layeratlas.stats.training import OverTraining, doublings_between, drift, emerged

FIRST, LAST = np.log2(1.0 + np.array([5, 640]))
DRAWS, SPREAD, SHARED = 400, 0.02, 0.5
LEVELS = 5
# Numbers of checkpoints, and how many doublings a logistic rise takes (its scale): steeper and flatter than the
# distance of two checkpoints, which is 2.3, 1 and 0.5 doublings.
GRID = [(count, scale) for count in (4, 8, 15) for scale in (0.1, 0.25, 0.6, 1.0)]
EIGHT = np.linspace(FIRST, LAST, 8)


def course(truth: np.ndarray, rng: np.random.Generator, at: np.ndarray = EIGHT, grain: float = 0.0) -> OverTraining:
    """A course with the noise of the texts, half of which all checkpoints share, and as much in every draw."""
    noise = rng.standard_normal((1 + DRAWS, len(at))) * np.sqrt(1 - SHARED)
    noise += rng.standard_normal((1 + DRAWS, 1)) * np.sqrt(SHARED)
    seen = truth + SPREAD * noise[0] + grain * rng.standard_normal(len(at))
    unit = "depth" if grain else "value"
    draws = SPREAD * noise[1:]
    values = [Quantity(estimate=float(each), noise=draws[:, i], grain=grain, unit=unit) for i, each in enumerate(seen)]
    return OverTraining(steps=(2**at - 1).tolist(), values=values)


def learned(at: np.ndarray, middle: float, scale: float) -> np.ndarray:
    return 0.55 + 0.3 / (1 + np.exp(-(at - middle) / scale))


def step_of(middle: float, scale: float) -> float:
    """The true step of emergence, in doublings: that of the rise between the first and the last checkpoint, in full."""
    fine = np.linspace(FIRST, LAST, 5001)
    truth = learned(fine, middle, scale)
    return float(emergence_depth(truth - truth[0], fine))


def steps_held(rng: np.random.Generator, count: int, scale: float, levels: int = 1) -> tuple[bool, bool, float]:
    """Return whether the intervals of a step and of a difference of two steps hold the truth, and the first's width.

    The difference is that of two sets of `levels` each, whose levels rise at the same time.
    """
    at, middles = np.linspace(FIRST, LAST, count), rng.uniform(4.5, 8, 2)
    sides = [[course(learned(at, middle, scale), rng, at) for _ in range(levels)] for middle in middles]
    true = [step_of(middle, scale) for middle in middles]
    risen = [[emerged(each) for each in side] for side in sides]
    lo, hi = np.log2(1 + risen[0][0].step.lo), np.log2(1 + risen[0][0].step.hi)
    gap = doublings_between(*risen, sides[0][0].reach)
    return bool(lo <= true[0] <= hi), gap.lo <= true[1] - true[0] <= gap.hi, float(hi - lo)


@pytest.mark.truth
@pytest.mark.parametrize(("count", "scale"), GRID)
def test_the_interval_of_a_step_holds_it_however_steep_the_rise_and_is_no_wider_than_it_must_be(
    count: int, scale: float
) -> None:
    trials = 200
    held = np.array([steps_held(np.random.default_rng([seed, 5]), count, scale) for seed in range(trials)])
    step, gap, width = held.mean(0)
    print(f"{count} checkpoints, scale {scale}: step {step:.3f}, difference {gap:.3f}, width {width:.2f} doublings")
    assert min(step, gap) * trials >= binom.ppf(0.01, trials, 0.95)
    # A rise at once is known up to the distance of two checkpoints; any rise up to the noise on its slope.
    spacing, noise = (LAST - FIRST) / (count - 1), 4 * SPREAD / 0.3 * (1 + 4 * scale)
    assert width <= 1.3 * spacing + noise
    if scale >= spacing:  # the checkpoints follow the rise: the interval is that of the texts alone
        assert step * trials <= binom.ppf(0.99, trials, 0.975)


def drifts_held(rng: np.random.Generator) -> bool:
    move = rng.uniform(-0.3, 0.3)
    lo, hi = drift(course(0.4 + move * (EIGHT - FIRST) / (LAST - FIRST), rng, grain=0.01)).interval
    return lo <= move <= hi


def nothing_learned(rng: np.random.Generator) -> bool:
    changes = [course(np.full(len(EIGHT), 0.7), rng).change for _ in range(LEVELS)]
    return min(adjusted(changes)) > 0.05


@pytest.mark.truth
@pytest.mark.parametrize("held", [drifts_held, nothing_learned])
def test_intervals_hold_the_truth_and_flat_courses_stay_flat(held: Callable[[np.random.Generator], bool]) -> None:
    trials = 400
    hits = sum(held(np.random.default_rng([seed, 5])) for seed in range(trials))
    print(f"{held.__name__}: {hits} of {trials}")
    assert binom.ppf(0.01, trials, 0.95) <= hits <= binom.ppf(0.99, trials, 0.975), (held.__name__, hits / trials)


@pytest.mark.parametrize(("count", "scale"), [(4, 0.1), (8, 0.1), (15, 1.0)])
def test_a_few_intervals_of_steps_hold_them(count: int, scale: float) -> None:
    held = [steps_held(np.random.default_rng([seed, 7]), count, scale) for seed in range(20)]
    assert sum(step for step, _, _ in held) >= binom.ppf(0.01, 20, 0.95)


def test_a_few_differences_of_several_levels_that_rise_together_hold_theirs() -> None:
    held = [steps_held(np.random.default_rng([seed, 7]), 4, 0.1, levels=4) for seed in range(20)]
    assert sum(gap for _, gap, _ in held) >= binom.ppf(0.01, 20, 0.95)


@pytest.mark.truth
@pytest.mark.parametrize("levels", [4, 8])
@pytest.mark.parametrize(("count", "scale"), [(4, 0.1), (4, 0.25), (8, 0.1)])
def test_differences_of_several_levels_that_rise_together_hold_theirs(count: int, scale: float, levels: int) -> None:
    held = sum(steps_held(np.random.default_rng([seed, 5]), count, scale, levels)[1] for seed in range(100))
    print(f"{count} checkpoints, scale {scale}, {levels} levels: difference {held} of 100")
    assert held >= binom.ppf(0.01, 100, 0.95)


def test_an_interval_that_takes_a_steep_rise_for_a_line_fails_the_same_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: without the error from the distance of the checkpoints."""
    monkeypatch.setattr("layeratlas.stats.training.grid_spread", lambda *_: 0.0)
    held = [steps_held(np.random.default_rng([seed, 7]), 4, 0.1) for seed in range(20)]
    assert sum(step for step, _, _ in held) < binom.ppf(0.01, 20, 0.95)
