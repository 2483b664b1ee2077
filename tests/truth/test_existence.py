"""The existence test: rejections without two boundaries, whatever the shape, and power where two are planted.

The thin pass has a few shapes; the full simulation (`-m truth -s`) has all of them, those included that were never
looked at while the test was worked out, and prints its rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from layeratlas.stats.intervals import ALPHA
from layeratlas.studies.segments.boundaries import two_boundaries
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.sharpness import sharpness
from layeratlas.validation import shapes

LAYERS = (8, 12, 16, 30, 80)
# The most that may be rejected without two boundaries, and the least that must be found where there are two.
MOST, POWER = 0.07, 0.9
# More than this many rejections of 100 at a true rate of 7 % would be seen in one of 200 simulations.
TRIALS, COUNT = 100, 99
CAPTURED = {"first": 0, "last": -1, "none": None}


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What is simulated: a kind of signals, their noise, and a jump of the first or the last block."""

    kind: str
    noise: float
    jump: str = "none"

    def signals(self, layers, seed):
        random = np.random.default_rng([layers, seed])
        return shapes.signals(self.kind, layers, random, self.noise, CAPTURED[self.jump])


def rejected(signals, seed):
    """Whether two boundaries are claimed; the surrogates are left out where the sharpness, a part of p, forbids it."""
    boundaries, _ = two_boundaries(signals, shapes.GROUPS)
    if max(sharp.p for sharp in sharpness(signals, boundaries)) > ALPHA:
        return False
    return existence_test(signals, shapes.GROUPS, seed, COUNT).p <= ALPHA


def rate(planted, layers, trials):
    rejections = np.mean([rejected(planted.signals(layers, seed), seed) for seed in range(trials)])
    print(f"{layers} layers, {planted.kind}, noise {planted.noise}, jump {planted.jump}: {rejections:.2f}")
    return rejections


def without_sharpness(planted, layers, trials):
    """The rate of the other parts of the test alone, which was the whole test once."""
    tests = [existence_test(planted.signals(layers, s), shapes.GROUPS, s, COUNT) for s in range(trials)]
    return np.mean([max(test.smooth_p, test.second_p) <= ALPHA for test in tests])


NOISES = [Planted(kind=kind, noise=1.0) for kind in ("white", "ar 0.3", "ar 0.6", "ar 0.8", "ramp + ar 0.6")]
ONE = [Planted(kind="one", noise=noise, jump=jump) for noise in (0.05, 0.2) for jump in CAPTURED]
SHAPES = [
    *(Planted(kind=kind, noise=noise) for kind in shapes.SMOOTH for noise in (0.01, 0.05, 0.2)),
    *(Planted(kind=kind, noise=0.05, jump=jump) for kind in shapes.SMOOTH for jump in ("first", "last")),
]


@pytest.mark.truth
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("planted", [*SHAPES, *NOISES, *ONE], ids=str)
def test_what_has_no_two_boundaries_is_rejected_in_at_most_seven_percent(planted, layers):
    assert rate(planted, layers, TRIALS) <= MOST


@pytest.mark.truth
@pytest.mark.parametrize("layers", [12, 16, 30, 80])
@pytest.mark.parametrize("jump", CAPTURED)
@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_two_steps_are_found_with_and_without_a_jump_at_either_end(noise, jump, layers):
    assert rate(Planted(kind="steps", noise=noise, jump=jump), layers, TRIALS) >= POWER


@pytest.mark.truth
@pytest.mark.parametrize("layers", [12, 30, 48])
def test_planted_boundaries_are_recovered_within_a_layer(layers):
    random = np.random.default_rng(layers)
    truth = np.array([round(0.3 * layers), np.flatnonzero(np.linspace(0, 1, layers) >= 0.7)[0]])
    results = [two_boundaries(shapes.signals("steps", layers, random, 0.2), shapes.GROUPS)[0] for _ in range(TRIALS)]
    assert np.mean([abs(boundaries - truth).max() <= 1 for boundaries in results]) > 0.95


THIN = [
    Planted(kind="bump", noise=0.05),
    Planted(kind="sine 1.5", noise=0.05),
    Planted(kind="steep logistic", noise=0.05, jump="last"),
    Planted(kind="one", noise=0.2),
    Planted(kind="ar 0.6", noise=1.0),
]


@pytest.mark.parametrize("layers", [12, 30])
@pytest.mark.parametrize("planted", THIN, ids=str)
def test_a_few_shapes_are_rarely_rejected(planted, layers):
    # At a true rate of 7 %, more than 6 of 30 are rejected in 1 of 300 simulations.
    assert rate(planted, layers, 30) <= 6 / 30


@pytest.mark.parametrize("jump", CAPTURED)
def test_two_steps_are_found(jump):
    assert rate(Planted(kind="steps", noise=0.2, jump=jump), 16, 20) >= POWER


@pytest.mark.parametrize("kind", ["bump", "steep logistic"])
def test_surrogates_alone_take_smooth_shapes_for_boundaries(kind):
    """The negative control: shapes that a cubic does not follow pass every part of the test but the sharpness."""
    assert without_sharpness(Planted(kind=kind, noise=0.05), 30, 10) >= 0.5
