"""How a value changes over training: how much it rises, at which step, and whether a depth moves.

Training is measured in doublings of the step, log2(1 + step): checkpoints are usually spaced so, and a level that
emerges between steps 20 and 40 emerges as clearly as one between 2,000 and 4,000.

One training is one sample: the intervals are those over groups of texts, and another seed or order of the data may move
what they hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.emergence import Emergence, emergence_depth, measure_depth
from layeratlas.stats.intervals import Z95
from layeratlas.stats.quantities import Quantity, minus
from layeratlas.stats.tests import two_sided_z
from layeratlas.stats.verdicts import Effect


@dataclass(frozen=True, kw_only=True)
class OverTraining:
    """One quantity at K checkpoints of one training, earliest first; the draws of all resample the same texts."""

    steps: Sequence[int]
    values: Sequence[Quantity]

    @property
    def doublings(self) -> Floats:
        """The steps in doublings, (K,)."""
        return np.log2(1.0 + np.asarray(self.steps, np.float64))

    @property
    def change(self) -> Quantity:
        """The value at the last checkpoint less that at the first."""
        return minus(self.values[-1], self.values[0])


class Emerged(NamedTuple):
    """When a value rises: the step with its 95 % interval; `depth` is the same as a share of the checkpoints' range."""

    step: Effect
    depth: Emergence


def emerged(course: OverTraining) -> Emerged:
    """Return at which step a value rises from that of the first checkpoint to its highest.

    The mean, in doublings, of the steps at which it first passes each share of the rise, from 10 to 90 % (as the depth
    of emergence in a curve, `stats.emergence`).
    """
    at = course.doublings
    axis = (at - at[0]) / (at[-1] - at[0])
    values = np.array([value.estimate for value in course.values])
    drawn = values + np.stack([value.noise for value in course.values], 1)
    depth = measure_depth(values - values[0], drawn - drawn[:, :1], axis, emergence_depth)
    ends = (depth.estimate, *depth.interval)
    step, lo, hi = (float(2 ** (at[0] + share * (at[-1] - at[0])) - 1) for share in ends)
    return Emerged(Effect(estimate=step, lo=lo, hi=hi), depth)


def drift(course: OverTraining) -> Quantity:
    """Return how far a depth moves from the first checkpoint to the last: the rise of a line in doublings.

    All checkpoints count, weighed by the inverse of their variance.
    """
    at = course.doublings
    weight = np.array([value.spread for value in course.values]) ** -2.0
    centred = at - (weight @ at) / weight.sum()
    factor = (at[-1] - at[0]) * weight * centred / (weight @ centred**2)
    return Quantity(
        estimate=float(factor @ [value.estimate for value in course.values]),
        noise=np.stack([value.noise for value in course.values], 1) @ factor,
        grain=float(np.sqrt(factor**2 @ np.array([value.grain for value in course.values]) ** 2)),
        unit=course.values[0].unit,
    )


def doublings_between(earlier: Sequence[Emerged], later: Sequence[Emerged], course: OverTraining) -> Effect:
    """Return how many doublings of the step later some values rise than others, as the difference of their means.

    The two may be of different texts: their errors are independent, those of one side as dependent as their draws.
    """
    reach = float(course.doublings[-1] - course.doublings[0])
    estimates, errors = [], []
    for side in (earlier, later):
        count = min(len(one.depth.draws) for one in side)
        mean = np.mean([one.depth.draws[:count] for one in side], 0)
        systematic = math.hypot(*(one.depth.systematic for one in side)) / len(side)
        estimates.append(float(np.mean([one.depth.estimate for one in side])))
        errors.append(float(np.hypot(mean.std(), systematic)))
    gap, spread = reach * (estimates[1] - estimates[0]), reach * math.hypot(*errors)
    p = two_sided_z(gap, spread, min(len(one.depth.draws) for one in (*earlier, *later)))
    return Effect(estimate=gap, lo=gap - Z95 * spread, hi=gap + Z95 * spread, p=p)
