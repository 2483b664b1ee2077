"""The boundaries between a model's layers and their uncertainty: bootstrap over passages, and leave-one-signal-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats import segmentation
from layeratlas.stats.segmentation import best_boundaries, left_out, segment_costs, shortest_segment, without_ends
from layeratlas.studies.segments.signals import BlockSignals, fuse

_MOST_BOUNDARIES = 4


@dataclass(frozen=True, kw_only=True)
class BoundaryEstimate:
    """The two boundaries of the mean over passages, with their bootstrap over passages (B draws).

    `boundaries` (2,); `draws` (B, 2); `mode` (2,), the most frequent pair of the draws; `lo`, `hi` (2,), the central
    90 % of the draws; `share` (2,), the share of draws with each boundary at its mode; `together` (L, L), the share of
    draws in which two blocks are in the same segment.
    """

    boundaries: Ints
    draws: Ints
    mode: Ints
    lo: Ints
    hi: Ints
    share: Floats
    together: Floats

    @property
    def intervals(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The 90 % interval of each boundary, in blocks."""
        first, second = ((int(lo), int(hi)) for lo, hi in zip(self.lo, self.hi, strict=True))
        return first, second


def two_boundaries(signals: Floats, groups: Sequence[str]) -> tuple[Ints, Floats]:
    """Return the two boundaries (..., 2) of signals (..., S, L), and C2 / C0, the share of the cost that remains.

    With 8 or more blocks, the first and the last one are excluded from the search; boundaries still count all blocks.
    """
    boundaries, left = segmentation.two_boundaries(fuse(without_ends(signals), groups))
    return boundaries + left_out(signals.shape[-1]), left


def cost_curve(z: Floats) -> Floats:
    """Return C_K / C_0 for K = 0..4 boundaries (fewer if the segments do not fit), (..., K+1)."""
    costs, layers = segment_costs(z), z.shape[-1]
    shortest = shortest_segment(layers)
    most = min(_MOST_BOUNDARIES, layers // shortest - 1)
    left = np.stack([best_boundaries(costs, count, shortest)[1] for count in range(most + 1)], -1)
    share: Floats = left / np.maximum(left[..., :1], 1e-300)
    return share


def resampled(values: Floats, draws: int, seed: int) -> Floats:
    """Return the mean signals (B, S, L) over passages drawn with replacement from values (P, S, L)."""
    passages = len(values)
    random = np.random.default_rng(seed)
    weights = random.multinomial(passages, np.full(passages, 1 / passages), size=draws) / passages
    means: Floats = np.tensordot(weights, values, 1)
    return means


def find_boundaries(signals: BlockSignals, draws: int = 200, seed: int = 0) -> BoundaryEstimate:
    """Return the boundaries of the mean over passages, with their bootstrap over passages."""
    values, groups = signals.values, signals.groups
    boundaries, _ = two_boundaries(values.mean(0), groups)
    drawn, _ = two_boundaries(resampled(values, draws, seed), groups)
    return summarise(boundaries, drawn, layers=values.shape[-1])


def summarise(boundaries: Ints, drawn: Ints, layers: int) -> BoundaryEstimate:
    """Return the estimate for boundaries (2,) and the boundaries of the draws (B, 2)."""
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    mode = pairs[counts.argmax()]
    lo, hi = np.quantile(drawn, [0.05, 0.95], axis=0, method="nearest")
    segment = (np.arange(layers) >= drawn[:, :, None]).sum(1)
    return BoundaryEstimate(
        boundaries=boundaries,
        draws=drawn,
        mode=mode,
        lo=lo,
        hi=hi,
        share=(drawn == mode).mean(0),
        together=(segment[:, :, None] == segment[:, None, :]).mean(0),
    )


def leave_one_out(signals: BlockSignals) -> dict[str, Ints]:
    """Return, for each signal, the boundaries (2,) found without it; empty if there is only one signal."""
    if len(signals.names) < 2:
        return {}
    mean, boundaries = signals.values.mean(0), {}
    for omitted, name in enumerate(signals.names):
        kept = [i for i in range(len(signals.names)) if i != omitted]
        boundaries[name] = two_boundaries(mean[kept], [signals.groups[i] for i in kept])[0]
    return boundaries
