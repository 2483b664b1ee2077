"""Simulated curves of buried levels and of the same labels not buried: validates deep content and deep compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.names import BURIED, WHOLE, HierarchyFinding
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.validation.noise import POINTS, layer_noise
from layeratlas.validation.rate import Check, Count

# The task of each level that is read buried and not buried.
_TASKS = {"item": "animal", "relation": "related"}
_CHANCE, _ERROR, _DRAWS, _SHUFFLES = 0.5, 0.03, 1000, 40


def _rise(middle: float, gain: float) -> Floats:
    """Return the gain of a level over chance (P,): a rise to a plateau."""
    rise: Floats = gain / (1 + np.exp(-(np.arange(POINTS) - middle)))
    return rise


NOTHING = np.zeros(POINTS)
EARLY, LATE, HALF = _rise(5.0, 0.3), _rise(21.0, 0.25), _rise(5.0, 0.15)


def simulated_curves(seed: int, gains: Mapping[str, tuple[Floats, Floats]]) -> Iterator[Curve]:
    """Yield the task's and the level's curve of each level, not buried and buried; `gains` has the two true gains."""
    rng = np.random.default_rng([seed, 37])
    for level, (plain, buried) in gains.items():
        yield from _curves(rng, level, _TASKS[level], plain)
        yield from _curves(rng, f"{BURIED} {level}", f"{BURIED}_{_TASKS[level]}", buried)


def _curves(rng: np.random.Generator, level: str, task: str, gain: Floats) -> Iterator[Curve]:
    estimate = _CHANCE + gain + _ERROR * layer_noise(rng, POINTS)
    halves = _ERROR * layer_noise(rng, 200, POINTS)
    curve = Curve(
        level=level,
        task=task,
        stratum=WHOLE,
        component="resid",
        method="ridge",
        metric="accuracy",
        estimate=estimate,
        draws=estimate + _ERROR * layer_noise(rng, _DRAWS, POINTS),
        half_a=estimate + halves,
        half_b=estimate - halves,
        shuffles=_CHANCE + _ERROR * layer_noise(rng, _SHUFFLES, POINTS),
        chance=_CHANCE,
        baseline=_CHANCE,
        n=400,
        n_groups=100,
    )
    yield from (curve, replace(curve, task=WHOLE))


def _supported(kind: str, level: str, gains: Mapping[str, tuple[Floats, Floats]]) -> Callable[[int], Count]:
    """Return a simulation of whether a finding on a buried level is supported."""

    def simulate(seed: int) -> Count:
        findings = find(list(simulated_curves(seed, gains)), Phrasing())
        own = [finding for finding in findings if finding.finding == kind and level in finding.level]
        return Count(int(any(finding.verdict == "supported" for finding in own)))

    return simulate


# Buried items are read in deep layers alone, relations only where they are not buried.
_ITEMS = {"item": (EARLY, LATE), "relation": (EARLY, NOTHING)}
# Buried items are harder than those not buried, and lie as deep.
_HARDER = {"item": (EARLY, HALF), "relation": (EARLY, HALF)}
_CONTENT, _COMPRESSION = HierarchyFinding.DEEP_CONTENT, HierarchyFinding.DEEP_COMPRESSION

BURIED_CHECKS: Sequence[Check] = (
    Check(
        planted="buried items alone, in deep layers",
        finding="deep content of items",
        simulate=_supported(_CONTENT, "buried item", _ITEMS),
        at_least=0.9,
    ),
    Check(
        planted="buried items alone, in deep layers",
        finding="deep compression of items",
        simulate=_supported(_COMPRESSION, "buried item", _ITEMS),
        at_least=0.9,
    ),
    Check(
        planted="buried items alone, in deep layers",
        finding="deep content of relations",
        simulate=_supported(_CONTENT, "buried relation", _ITEMS),
        at_most=0.05,
    ),
    Check(
        planted="buried levels half as well read, as deep",
        finding="deep compression of either",
        simulate=_supported(_COMPRESSION, "buried", _HARDER),
        at_most=0.05,
    ),
)
