"""The existence test: are there two boundaries, or smooth change, noise, or one boundary?

The search finds two boundaries in any signal, so they are tested in three ways:

- Is each of them sharp (`sharpness`)? More than half of the change across it must happen between two neighbouring
  blocks. A smooth change of any shape fails this test.
- Do they fit better than boundaries found in noise? Surrogates combine a smooth change over depth with autocorrelated
  noise. The statistic is C2 / C0, the share of the cost that remains with two boundaries.
- Is there a second one? Surrogates have the signals' best single boundary as a step. The statistic is C2 / C1, the
  share of the cost that remains with a second boundary.

The p-value of two boundaries is the largest of these: every test must reject (an intersection-union test). With 8 or
more blocks, the first and the last one are left out, because a jump there would hide boundaries or look like one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.segmentation import (
    best_boundaries,
    left_out,
    segment_costs,
    shortest_segment,
    two_boundaries,
    without_ends,
)
from layeratlas.stats.tests import rank_p
from layeratlas.studies.segments.boundaries import cost_curve
from layeratlas.studies.segments.sharpness import Sharpness, sharpness
from layeratlas.studies.segments.signals import fuse
from layeratlas.studies.segments.surrogates import surrogates

SURROGATES = 199


@dataclass(frozen=True, kw_only=True)
class Existence:
    """The result of the existence test: statistics, sharpness, p-values and null distributions.

    `left` is the share of the cost that remains with two boundaries. `smooth_p` and `second_p` are the p-values against
    smooth change and against a single boundary. `first` is the first block after the best single boundary;
    `second_left` is the share of the cost that remains with a second one. `null_left` and `null_second_left` (B,) are
    the values of `left` and `second_left` in the surrogates. `curve` (K+1,) is C_K / C_0 and `null_curves` (B, K+1) the
    same for the surrogates. `shuffled_left` (B,) is `left` with the layers in random order, `shuffled_p` its p-value.
    """

    left: float
    boundaries: tuple[Sharpness, Sharpness]
    smooth_p: float
    second_p: float
    first: int
    second_left: float
    null_left: Floats
    null_second_left: Floats
    curve: Floats
    null_curves: Floats
    shuffled_left: Floats
    shuffled_p: float

    @property
    def p(self) -> float:
        """The p-value of two boundaries."""
        return max(self.smooth_p, self.second_p, *(boundary.p for boundary in self.boundaries))


def existence_test(signals: Floats, groups: Sequence[str], seed: int = 0, count: int = SURROGATES) -> Existence:
    """Test whether mean signals (S, L) have two boundaries, against `count` surrogates and shuffled layers."""
    inner, before = without_ends(signals), left_out(signals.shape[1])
    boundaries, left = two_boundaries(fuse(inner, groups))
    sharp = sharpness(signals, boundaries + before)
    first, second_left = _second_boundary(inner, groups)
    smooth = fuse(surrogates(inner, count, seed), groups)
    null_left = two_boundaries(smooth)[1]
    null_second_left = _second_boundary(surrogates(inner, count, seed + 2, int(first)), groups)[1]
    shuffled_left = _shuffled(inner, groups, count, seed + 1)
    return Existence(
        left=float(left),
        boundaries=(sharp[0], sharp[1]),
        smooth_p=_p_value(null_left, float(left)),
        second_p=_p_value(null_second_left, float(second_left)),
        first=int(first) + before,
        second_left=float(second_left),
        null_left=null_left,
        null_second_left=null_second_left,
        curve=cost_curve(fuse(inner, groups)),
        null_curves=cost_curve(smooth),
        shuffled_left=shuffled_left,
        shuffled_p=_p_value(shuffled_left, float(left)),
    )


def _shuffled(inner: Floats, groups: Sequence[str], count: int, seed: int) -> Floats:
    """Return C2 / C0 (B,) of the same layers in random order."""
    random = np.random.default_rng(seed)
    orders = np.array([random.permutation(inner.shape[1]) for _ in range(count)])
    return two_boundaries(fuse(inner[:, orders].transpose(1, 0, 2), groups))[1]


def _second_boundary(inner: Floats, groups: Sequence[str]) -> tuple[Any, Any]:
    """Return the best single boundary (...) of signals (..., S, L), and C2 / C1, the share left by a second one."""
    costs, shortest = segment_costs(fuse(inner, groups)), shortest_segment(inner.shape[-1])
    single, cost_of_one = best_boundaries(costs, 1, shortest)
    _, cost_of_two = best_boundaries(costs, 2, shortest)
    return single[..., 0], np.divide(cost_of_two, cost_of_one, out=np.ones_like(cost_of_two), where=cost_of_one > 0)


def _p_value(null: Floats, left: float) -> float:
    return rank_p(-left, -null)
