"""Segmentation of layers: exact search for the boundaries with the smallest squared error within segments.

Signals are arrays whose last axis is the blocks 0..L-1. Boundaries b1 < b2 are block numbers: the first segment is
blocks 0..b1-1, the second b1..b2-1, the third b2..L-1. A search always finds boundaries; whether they exist is decided
by a test.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.errors import DataError

# Models with at least this many blocks are segmented without their first and last block.
_FEWEST_TRIMMED = 8


def shortest_segment(blocks: int) -> int:
    """Return the smallest number of blocks in a segment, max(2, round(0.08 L)).

    Raises DataError if three such segments do not fit.
    """
    shortest = max(2, round(0.08 * blocks))
    if blocks < 3 * shortest:
        raise DataError(
            f"the model has {blocks} blocks",
            f"at least {3 * shortest}, for three segments of {shortest} or more",
            "segments cannot be measured on it",
        )
    return shortest


def left_out(blocks: int) -> int:
    """Return how many blocks at either end of L blocks are left out of the search: 1 from 8 blocks on, else 0.

    The signals often jump at the first and last block; such a jump would hide boundaries or look like one.
    """
    return int(blocks >= _FEWEST_TRIMMED)


def without_ends(values: Floats) -> Floats:
    """Return values (..., L) without the excluded end blocks, (..., L - 2 `left_out(L)`)."""
    ends = left_out(values.shape[-1])
    return values[..., ends : values.shape[-1] - ends]


def segment_costs(z: Floats) -> Floats:
    """Return the squared error of every segment around its mean: costs[..., i, j] for blocks i..j-1.

    From (..., S, L) to (..., L+1, L+1), summed over the S signals; 0 for j <= i.
    """
    zero = np.zeros((*z.shape[:-1], 1))
    sums = np.concatenate([zero, z.cumsum(-1)], -1)
    squares = np.concatenate([zero, (z**2).cumsum(-1)], -1)
    ends = np.arange(z.shape[-1] + 1)
    length = ends[None, :] - ends[:, None]
    total = sums[..., None, :] - sums[..., :, None]
    cost = squares[..., None, :] - squares[..., :, None] - total**2 / np.maximum(length, 1)
    costs: Floats = np.maximum(np.where(length > 0, cost, 0.0).sum(-3), 0.0)
    return costs


def best_boundaries(costs: Floats, count: int, shortest: int) -> tuple[Ints, Floats]:
    """Return the `count` boundaries with the smallest total cost, by dynamic programming (exact).

    `costs` (..., L+1, L+1) of `segment_costs`; every segment has at least `shortest` blocks. Returns the boundaries
    (..., count), ascending, and their cost (...).
    """
    layers = costs.shape[-1] - 1
    ends = np.arange(layers + 1)
    allowed = (ends[None, :] - ends[:, None]) >= shortest
    step = np.where(allowed, costs, np.inf)
    best = step[..., 0, :]
    choices = []
    for _ in range(count):
        through = best[..., :, None] + step
        choices.append(through.argmin(-2))
        best = through.min(-2)
    at = np.full(costs.shape[:-2], layers)
    boundaries = []
    for choice in reversed(choices):
        at = np.take_along_axis(choice, at[..., None], -1)[..., 0]
        boundaries.append(at)
    if not boundaries:
        return np.zeros((*at.shape, 0), np.int64), best[..., layers]
    return np.stack(boundaries[::-1], -1).astype(np.int64), best[..., layers]


def two_boundaries(z: Floats) -> tuple[Ints, Floats]:
    """Return the two boundaries (..., 2) of signals (..., S, L) together, and the share C2 / C0 of the cost they leave.

    The share is 1 for constant signals.
    """
    costs = segment_costs(z)
    boundaries, left = best_boundaries(costs, 2, shortest_segment(z.shape[-1]))
    whole = costs[..., 0, -1]
    return boundaries, np.divide(left, whole, out=np.ones_like(left), where=whole > 0)


def cost_at(costs: Floats, boundaries: Ints) -> Floats:
    """Return the cost (B,) of two given boundaries (B, 2), from the costs of segments (B, L+1, L+1)."""
    row, last = np.arange(len(costs)), costs.shape[-1] - 1
    first, second = boundaries.T
    total: Floats = costs[row, 0, first] + costs[row, first, second] + costs[row, second, last]
    return total
