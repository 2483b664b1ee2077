"""The existence test: do the two boundaries leave less cost than boundaries of signals without any?

Two boundaries are found in any signal, so their cost is compared with that of signals that have no two boundaries.
Three nulls, because each of the first two misses signals that the next one catches:

- Smooth change over depth with noise that neighbouring layers share (`surrogates`). The statistic is C2 / C0, the share
  of the cost that two boundaries leave; p is the share of surrogates that leave no more.
- The same without clipping. A steep smooth change at one end becomes a plateau when z-scores are clipped, and would
  look like a segment.
- One boundary: surrogates whose trend has the signals' own best single boundary as a step. The statistic is C2 / C1,
  the share of the cost that a second boundary leaves.

The p-value of two boundaries is the largest of the three: all must reject (an intersection-union test).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.segmentation import best_boundaries, segment_costs, shortest_segment
from layeratlas.studies.segments.boundaries import cost_curve, two_boundaries
from layeratlas.studies.segments.signals import fuse
from layeratlas.studies.segments.surrogates import surrogates

SURROGATES = 199


@dataclass(frozen=True, kw_only=True)
class Existence:
    """The share of the cost that two boundaries leave (`left`), its p-values and its null.

    `smooth_p`, `unclipped_p` and `second_p` are the p-values of the three nulls; `first` is the block of the best
    single boundary. `null_left` (B,) is `left` of every surrogate. `curve` (K+1,) is C_K / C_0 and `null_curves`
    (B, K+1) that of the surrogates. `shuffled_p` compares with the same layers in random order.
    """

    left: float
    smooth_p: float
    unclipped_p: float
    second_p: float
    first: int
    null_left: Floats
    curve: Floats
    null_curves: Floats
    shuffled_p: float

    @property
    def p(self) -> float:
        """The p-value of two boundaries."""
        return max(self.smooth_p, self.unclipped_p, self.second_p)


def existence_test(signals: Floats, groups: Sequence[str], seed: int = 0, count: int = SURROGATES) -> Existence:
    """Test whether mean signals (S, L) have two boundaries, against `count` surrogates and shuffled layers."""
    left = float(two_boundaries(signals, groups)[1])
    smooth = surrogates(signals, count, seed)
    null_left = two_boundaries(smooth, groups)[1]
    unclipped, null_unclipped = (two_boundaries(each, groups, np.inf)[1] for each in (signals, smooth))
    first, gain = _second_boundary(signals, groups)
    stepped = surrogates(signals, count, seed + 2, int(first))
    return Existence(
        left=left,
        smooth_p=_p_value(null_left, left),
        unclipped_p=_p_value(null_unclipped, float(unclipped)),
        second_p=_p_value(_second_boundary(stepped, groups)[1], float(gain)),
        first=int(first),
        null_left=null_left,
        curve=cost_curve(fuse(signals, groups)),
        null_curves=cost_curve(fuse(smooth, groups)),
        shuffled_p=_p_value(_shuffled(signals, groups, count, seed + 1), left),
    )


def _shuffled(signals: Floats, groups: Sequence[str], count: int, seed: int) -> Floats:
    """Return C2 / C0 (B,) of the same layers in random order."""
    random = np.random.default_rng(seed)
    orders = np.array([random.permutation(signals.shape[1]) for _ in range(count)])
    return two_boundaries(signals[:, orders].transpose(1, 0, 2), groups)[1]


def _second_boundary(signals: Floats, groups: Sequence[str]) -> tuple[Any, Any]:
    """Return the best single boundary (...) of signals (..., S, L), and C2 / C1, the share that a second one leaves."""
    costs, shortest = segment_costs(fuse(signals, groups)), shortest_segment(signals.shape[-1])
    first, one = best_boundaries(costs, 1, shortest)
    _, two = best_boundaries(costs, 2, shortest)
    return first[..., 0], np.divide(two, one, out=np.ones_like(two), where=one > 0)


def _p_value(null: Floats, left: float) -> float:
    return float((1 + (null <= left + 1e-12).sum()) / (1 + len(null)))
