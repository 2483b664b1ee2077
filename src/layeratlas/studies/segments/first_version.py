"""The rule of the first version of arXiv 2505.18244: boundaries at the largest falls of mutual information."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.segmentation import shortest_segment
from layeratlas.studies.segments.boundaries import BoundaryEstimate, resampled, summarise
from layeratlas.studies.segments.signals import BlockSignals

SIGNAL = "matrix_information"
_SD = 2.0


def steepest_falls(information: Floats) -> Ints:
    """Return the blocks (2,) with the largest falls of mutual information (L,) between a block's input and output.

    The change at l is I(l) - I(l-1); a boundary at l means that block l begins a segment. The shortest segment is that
    of the exact method.
    """
    blocks = len(information)
    shortest = shortest_segment(blocks)
    change = np.diff(information)
    places = range(shortest, blocks - shortest + 1)
    pairs = [(a, b) for a, b in combinations(places, 2) if b - a >= shortest]
    return np.array(min(pairs, key=lambda pair: change[pair[0] - 1] + change[pair[1] - 1]), np.int64)


def candidates(information: Floats) -> Ints:
    """Return the blocks whose change is below mean - 2 sd, the first version's candidates (often fewer than two)."""
    change = np.diff(information)
    below: Ints = np.flatnonzero(change < change.mean() - _SD * change.std()) + 1
    return below


def information_of(signals: BlockSignals) -> Floats | None:
    """Return the mutual information (P, 1, L) of passages, or None if it could not be measured."""
    return signals.values[:, [signals.names.index(SIGNAL)]] if SIGNAL in signals.names else None


def first_version_boundaries(information: Floats, draws: int, seed: int) -> BoundaryEstimate:
    """Return the boundaries of values (P, 1, L) by this rule, with their bootstrap over passages."""
    means = resampled(information, draws, seed)[:, 0]
    drawn = np.array([steepest_falls(mean) for mean in means])
    return summarise(steepest_falls(information.mean((0, 1))), drawn, layers=information.shape[2])
