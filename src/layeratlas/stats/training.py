"""Change over training: how much a value rises, at which step, and whether a depth shifts.

Training time is measured in doublings of the step, log2(1 + step), since checkpoints are usually spaced that way:
emergence between steps 20 and 40 is as distinct as between 2,000 and 4,000.

One training is a single sample: the intervals cover groups of texts, and another seed or data order may give values
outside of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.emergence import Emergence, emergence_depth, grid_spread, measure_depth
from layeratlas.stats.intervals import Z95
from layeratlas.stats.quantities import Quantity, minus
from layeratlas.stats.tests import two_sided_z
from layeratlas.stats.verdicts import Effect


@dataclass(frozen=True, kw_only=True)
class OverTraining:
    """One quantity at K checkpoints of one training, earliest first; all draws resample the same texts."""

    steps: Sequence[int]
    values: Sequence[Quantity]

    def at(self, steps: Collection[int]) -> OverTraining:
        """Return the course at some of its steps."""
        kept = [(step, value) for step, value in zip(self.steps, self.values, strict=True) if step in steps]
        return OverTraining(steps=[step for step, _ in kept], values=[value for _, value in kept])

    @property
    def doublings(self) -> Floats:
        """The steps in doublings, (K,)."""
        return np.log2(1.0 + np.asarray(self.steps, np.float64))

    @property
    def reach(self) -> float:
        """The length of the training between the first and the last checkpoint, in doublings."""
        return float(self.doublings[-1] - self.doublings[0])

    @property
    def change(self) -> Quantity:
        """The value at the last checkpoint minus the value at the first."""
        return minus(self.values[-1], self.values[0])


class Emerged(NamedTuple):
    """When a value rises: the step with its 95 % interval; `depth` is its position in the range of checkpoints."""

    step: Effect
    depth: Emergence


def emerged(course: OverTraining) -> Emerged:
    """Return the step at which a value rises from its first to its highest value.

    This is the mean, in doublings, of the steps at which it first passes each share of the rise from 10 to 90 %, as for
    the emergence depth of a curve (`stats.emergence`). The rise is that above the first checkpoint and not above
    chance: what was learned before the first checkpoint has no step here. A rise between two checkpoints may be
    anywhere between them, which the interval includes.
    """
    at = course.doublings
    axis = (at - at[0]) / course.reach
    values = np.array([value.estimate for value in course.values])
    drawn = values + np.stack([value.noise for value in course.values], 1)
    gains = values - values[0]
    depth = measure_depth(gains, drawn - drawn[:, :1], axis, emergence_depth)
    depth = replace(depth, moved=float(grid_spread(gains, axis)))
    ends = (depth.estimate, *depth.interval)
    step, lo, hi = (float(2 ** (at[0] + share * course.reach) - 1) for share in ends)
    return Emerged(Effect(estimate=step, lo=lo, hi=hi), depth)


def drift(course: OverTraining) -> Quantity:
    """Return how far a depth shifts from the first to the last checkpoint, by a linear fit in doublings.

    All checkpoints are used, weighted by their inverse variance.
    """
    at = course.doublings
    weight = np.array([value.spread for value in course.values]) ** -2.0
    centred = at - (weight @ at) / weight.sum()
    factor = course.reach * weight * centred / (weight @ centred**2)
    return Quantity(
        estimate=float(factor @ [value.estimate for value in course.values]),
        noise=np.stack([value.noise for value in course.values], 1) @ factor,
        grain=float(np.sqrt(factor**2 @ np.array([value.grain for value in course.values]) ** 2)),
        unit=course.values[0].unit,
    )


def doublings_between(earlier: Sequence[Emerged], later: Sequence[Emerged], reach: float) -> Effect:
    """Return how many doublings later one set of values rises than another, as the difference of means.

    All values are known at the same checkpoints, which span `reach` doublings. The two sets may use different texts, so
    their errors are treated as independent; within a set, the draws determine the dependence. Values that rise between
    the same two checkpoints share the error of these, so within a set it does not average out.
    """
    estimates, errors = [], []
    for side in (earlier, later):
        count = min(len(one.depth.draws) for one in side)
        mean = np.mean([one.depth.draws[:count] for one in side], 0)
        correction = math.hypot(*(one.depth.bias_error for one in side)) / len(side)
        spacing = float(np.mean([one.depth.moved for one in side]))
        estimates.append(float(np.mean([one.depth.estimate for one in side])))
        errors.append(float(math.hypot(mean.std(), correction, spacing)))
    gap, spread = reach * (estimates[1] - estimates[0]), reach * math.hypot(*errors)
    p = two_sided_z(gap, spread, min(len(one.depth.draws) for one in (*earlier, *later)))
    return Effect(estimate=gap, lo=gap - Z95 * spread, hi=gap + Z95 * spread, p=p)
