"""Simulated curves that rise at a known depth: do the intervals of emergence, and of its order, cover the truth?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.emergence import Definition, emergence_depth, emergence_gap, measure_emergence
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.validation.noise import layer_noise
from layeratlas.validation.rate import Check, Count

_CHANCE, _DRAWS, _SHUFFLES, _HALVES = 0.5, 300, 40, 100
# Standard errors of an accuracy, for small and for large data sets.
_ERRORS = (0.01, 0.02, 0.03)
KINDS = ("plateau", "two steps", "hump")


def true_rise(kind: str, points: int, rng: np.random.Generator) -> Floats:
    """Return the accuracies of a level (P,) that rises at a random depth: to a plateau, in two steps, or to a hump."""
    depth = np.linspace(0, 1, points)
    at, width = rng.uniform(0.2, 0.5), rng.uniform(0.02, 0.08)
    gain = 1 / (1 + np.exp(-(depth - at) / width))
    if kind == "two steps":
        share = rng.uniform(0.35, 0.65)
        gain = share * gain + (1 - share) / (1 + np.exp(-(depth - at - 0.25) / width))
    elif kind == "hump":
        gain *= np.exp(-2.0 * np.maximum(depth - at - 0.1, 0.0))
    accuracy: Floats = _CHANCE + rng.uniform(0.25, 0.45) * gain
    return accuracy


def noisy(truth: Floats, error: float, rng: np.random.Generator) -> Curve:
    """Return a curve whose estimate, draws and shuffles have standard error `error`, correlated between layers.

    Halves of the groups differ from the estimate by as much, in opposite directions.
    """
    points = len(truth)
    estimate = truth + error * layer_noise(rng, points)
    halves = error * layer_noise(rng, _HALVES, points)
    return Curve(
        level="item",
        task=WHOLE,
        stratum=WHOLE,
        component="resid",
        method="ridge",
        metric="accuracy",
        estimate=estimate,
        draws=estimate + error * layer_noise(rng, _DRAWS, points),
        half_a=estimate + halves,
        half_b=estimate - halves,
        shuffles=_CHANCE + error * layer_noise(rng, _SHUFFLES, points),
        chance=_CHANCE,
        baseline=_CHANCE,
        n=round(0.25 / error**2),  # as many items as the error is that of
        n_groups=100,
    )


def true_depth(truth: Floats, definition: Definition = emergence_depth) -> float:
    """Return the depth of emergence of accuracies without noise."""
    return float(definition(truth - _CHANCE, np.linspace(0, 1, len(truth))))


def _holds_depth(points: int) -> Callable[[int], Count]:
    """Return a simulation of whether the interval of a level's depth covers the true depth."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([points, seed, 23])
        truth = true_rise(KINDS[seed % len(KINDS)], points, rng)
        lo, hi = measure_emergence(noisy(truth, float(rng.choice(_ERRORS)), rng)).interval
        return Count(int(lo <= true_depth(truth) <= hi))

    return simulate


def _holds_gap(points: int) -> Callable[[int], Count]:
    """Return a simulation of whether the interval of the difference between two levels covers the true difference."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([points, seed, 29])
        truths = [true_rise(KINDS[int(rng.integers(len(KINDS)))], points, rng) for _ in range(2)]
        earlier, later = (measure_emergence(noisy(truth, float(rng.choice(_ERRORS)), rng)) for truth in truths)
        gap = emergence_gap(earlier, later)
        return Count(int(gap.lo <= true_depth(truths[1]) - true_depth(truths[0]) <= gap.hi))

    return simulate


RISE_CHECKS: Sequence[Check] = (
    *(
        Check(
            planted=f"a rise to a plateau, in two steps or to a hump, {points - 1} layers",
            finding="emergence: interval",
            simulate=_holds_depth(points),
            at_least=0.93,
            at_most=0.97,
            weight=30,
        )
        for points in (25, 31, 81)
    ),
    Check(
        planted="two such rises, 30 layers",
        finding="emergence order: interval",
        simulate=_holds_gap(31),
        at_least=0.93,
        at_most=0.97,
        weight=20,
    ),
)
