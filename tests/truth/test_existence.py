"""At full size: the existence test keeps its level without boundaries and finds clear steps where they are planted."""

from __future__ import annotations

import numpy as np
import pytest

import steps
from layeratlas.studies.segments.boundaries import two_boundaries
from layeratlas.studies.segments.existence import existence_test

pytestmark = pytest.mark.truth
TRIALS = 300
# Kinds without two boundaries that other kinds of test would pass: with its noise.
MISTAKEN = [("hyperbola", 0.01), ("hyperbola", 0.05), ("steep", 0.02), ("one", 0.05), ("one", 0.2)]
NOTHING = ["white", "ar 0.3", "ar 0.6", "ar 0.8", "ramp", "hump", "ramp + ar 0.6"]


def judged(kind, layers, trials, noise=0.05):
    random = np.random.default_rng(layers)
    return [existence_test(steps.signals(kind, layers, random, noise), steps.GROUPS, seed=i) for i in range(trials)]


def rejections(found, name="p"):
    return np.mean([getattr(test, name) <= 0.05 for test in found])


@pytest.mark.parametrize("layers", [12, 24, 30, 80])
@pytest.mark.parametrize("kind", NOTHING)
def test_signals_without_boundaries_are_rejected_at_five_percent(kind, layers):
    # Twelve layers less four of the trend do not tell a correlation of 0.8 from less of it, nor its paths from steps.
    most = 0.12 if (kind, layers) == ("ar 0.8", 12) else 0.08
    found = judged(kind, layers, TRIALS)
    assert 0.02 <= rejections(found, "smooth_p") <= most
    assert rejections(found) <= 0.08


@pytest.mark.parametrize("layers", [12, 24, 30, 80])
def test_a_shape_that_no_cubic_follows_is_rejected_no_more_often(layers):
    """What the trend leaves of it counts as noise that neighbouring layers share: the test is conservative there."""
    assert rejections(judged("saturating", layers, TRIALS)) <= 0.08


@pytest.mark.parametrize("layers", [12, 24, 30, 80])
@pytest.mark.parametrize(("kind", "noise"), MISTAKEN)
def test_one_boundary_or_a_steep_end_are_not_taken_for_two(kind, noise, layers):
    # The second boundary is tested beside the best first one, whose choice makes it a little too easy to find.
    assert rejections(judged(kind, layers, TRIALS, noise)) <= (0.12 if kind == "one" else 0.08)


@pytest.mark.parametrize("layers", [12, 24, 30, 80])
def test_clear_steps_are_found(layers):
    assert rejections(judged("steps", layers, 100, noise=0.2)) > 0.95


@pytest.mark.parametrize("layers", [12, 30, 48])
def test_planted_boundaries_are_recovered_within_a_layer(layers):
    random = np.random.default_rng(layers)
    truth = np.array([round(0.3 * layers), np.flatnonzero(np.linspace(0, 1, layers) >= 0.7)[0]])
    found = [two_boundaries(steps.signals("steps", layers, random, 0.2), steps.GROUPS)[0] for _ in range(100)]
    assert np.mean([abs(boundaries - truth).max() <= 1 for boundaries in found]) > 0.95
