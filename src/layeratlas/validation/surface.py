"""Simulated scores of a probe and of a baseline on the same texts: does the finding `surface` keep its level?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.studies.hierarchy.findings.surface import surface_findings
from layeratlas.studies.hierarchy.names import WHOLE
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.validation.noise import POINTS, layer_noise
from layeratlas.validation.rate import Check, Count

# A plateau: every layer from this one on has the same true accuracy, so that choosing the best one has most to gain.
_FROM, _CHANCE, _PLATEAU = 8, 0.5, 0.8
# The standard deviation of a group's accuracy.
_SPREAD = 0.3


class Planted(NamedTuple):
    """Groups of texts, the true gain over the baseline, and the share of a group's variance that both have in common.

    What they have in common is how difficult the texts are. The baseline is the embedding (point 0) with `embedding`,
    otherwise words and lengths.
    """

    groups: int
    gain: float = 0.0
    shared: float = 0.5
    embedding: bool = False

    def __str__(self) -> str:
        place = f"{self.gain:g} above" if self.gain else "at"
        name = "the embedding" if self.embedding else "its baseline"
        return f"a plateau {place} {name}, {self.groups} groups, {self.shared:.0%} shared noise"


def simulated_curve(planted: Planted, seed: int) -> Curve:
    """Return a curve with a plateau, and its baseline, resampled over the same groups."""
    groups = planted.groups
    rng = np.random.default_rng([seed, groups, 31])
    truth = np.where(np.arange(POINTS) < _FROM, _CHANCE, _PLATEAU)
    surface = np.array([_PLATEAU - planted.gain])
    if planted.embedding:
        truth[0], surface[0] = surface[0], _CHANCE
    own = np.concatenate([layer_noise(rng, groups, POINTS), rng.standard_normal((groups, 1))], 1)
    noise = np.sqrt(planted.shared) * rng.standard_normal((groups, 1)) + np.sqrt(1 - planted.shared) * own
    return _curve(np.append(truth, surface) + _SPREAD * noise, seed)


def _curve(scores: Floats, seed: int) -> Curve:
    """Return the curve of scores by group and layer (G, P + 1), the baseline in the last column."""
    names = [f"group-{number:04d}" for number in range(len(scores))]
    resampler = Resampler(names, 1000, seed)
    weights = resampler.weights(names)
    sample = split_draws(weights @ scores / weights.sum(1, keepdims=True), resampler)
    draws = widened(sample.estimate, sample.draws, len(names), times=1.0)
    return Curve(
        level="item",
        task=WHOLE,
        stratum=WHOLE,
        component="resid",
        method="ridge",
        metric="accuracy",
        estimate=sample.estimate[:-1],
        draws=draws[:, :-1],
        half_a=sample.half_a[:, :-1],
        half_b=sample.half_b[:, :-1],
        shuffles=np.full((1, POINTS), _CHANCE),
        chance=_CHANCE,
        baseline=float(sample.estimate[-1]),
        n=len(names),
        n_groups=len(names),
        baseline_draws=draws[:, -1],
    )


def _supported(planted: Planted) -> Callable[[int], Count]:
    """Return a simulation of whether a peak is said to beat its baseline."""

    def simulate(seed: int) -> Count:
        (finding,) = surface_findings([simulated_curve(planted, seed)], Phrasing())
        return Count(int(finding.verdict == "supported"))

    return simulate


_NULLS = (Planted(13), Planted(40, shared=0.0), Planted(40), Planted(200, shared=0.0), Planted(40, embedding=True))
_GAIN = Planted(40, gain=0.2)

SURFACE_CHECKS: Sequence[Check] = (
    *(
        Check(planted=str(null), finding="surface", simulate=_supported(null), at_most=0.025, weight=10)
        for null in _NULLS
    ),
    Check(planted=str(_GAIN), finding="surface", simulate=_supported(_GAIN), at_least=0.9),
)
