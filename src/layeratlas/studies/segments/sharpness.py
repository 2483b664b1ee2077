"""The sharpness of a boundary: the share of the change across it that happens between two neighbouring blocks.

Two boundaries can be placed on any smooth change, and no trend model fits every smooth shape. A true boundary has a
jump: the lines through the blocks on either side, extended to the boundary, do not meet. The jump divided by the change
across the boundary is 1 for a step and near 0 for a smooth change of any shape. A boundary is sharp if this share is
above one half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from layeratlas.core.arrays import Floats, Ints
from layeratlas.stats.intervals import ALPHA, few_groups, percentile_interval
from layeratlas.stats.segmentation import left_out, without_ends
from layeratlas.stats.verdicts import POWER

# Blocks on either side of a boundary to which a line is fitted, as a share of all blocks; at least two.
_WINDOW = 0.06
# A change is a boundary if more than this share of it happens between two neighbouring blocks.
LEAST_SHARE = 0.5
# Segments with at most this many blocks are fitted by their mean: a line would leave too few degrees of freedom to
# estimate the noise.
_SHORT = 3
# The smallest noise of a contrast, as a share of the change; anything smaller is rounding.
_LEAST_NOISE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """How sharp one boundary (the first block after it) is.

    `share` is the jump divided by the change across the boundary, over all signals. `p` is one-sided against a share of
    at most one half, `smooth_p` against at least one half. `seen` is the smallest share detectable with a power of 0.8;
    above 1, noise hides even a step. `width` is the number of layers needed to go from the mean of the segment before
    to that of the segment after, at the rate of change at the boundary: 1 for a step, at most all layers.
    """

    boundary: int
    share: float
    width: float
    p: float
    smooth_p: float
    seen: float


@dataclass(frozen=True, kw_only=True)
class SharpnessInterval:
    """The 95 % intervals of a boundary's share and width over passages."""

    share: tuple[float, float]
    width: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class _Contrasts:
    """Weights of blocks (L,) for the jump at a boundary and for the change across it."""

    jump: Floats
    change: Floats


def sharpness(signals: Floats, boundaries: Sequence[int] | Ints) -> list[Sharpness]:
    """Return the sharpness of each boundary of signals (S, L); with 8 or more blocks, the first and last are left out.

    Signals are scaled to unit variance over blocks and summed with weights proportional to their change across the
    boundary. The noise is the residual of the sum from a line in each segment (from the mean in a short one). The test
    is Student's t with the residual degrees of freedom. It is conservative for curved segments.
    """
    inner, before = without_ends(signals), left_out(signals.shape[1])
    spread = inner.std(1, keepdims=True)
    scaled = np.divide(inner, spread, out=np.zeros_like(inner), where=spread > 0)
    places = [int(boundary) - before for boundary in boundaries]
    return [replace(_at(scaled, places, place), boundary=place + before) for place in places]


def sharpness_intervals(
    signals: Floats, draws: Floats, boundaries: Sequence[int] | Ints, passages: int
) -> list[SharpnessInterval]:
    """Return the intervals of each boundary's sharpness from bootstrap means (B, S, L) over passages.

    They are percentile intervals, widened for few passages, at the boundaries of the mean signals (S, L).
    """
    numbers = [np.array([(s.share, s.width) for s in sharpness(each, boundaries)]) for each in (signals, *draws)]
    estimate, drawn = numbers[0], np.array(numbers[1:])
    lo, hi = percentile_interval(estimate + (drawn - estimate) * few_groups(passages))
    lo[:, 1], hi[:, 1] = np.maximum(lo[:, 1], 1.0), np.minimum(hi[:, 1], signals.shape[-1])
    return [SharpnessInterval(share=(lo[i, 0], hi[i, 0]), width=(lo[i, 1], hi[i, 1])) for i in range(len(boundaries))]


def _at(signals: Floats, boundaries: Sequence[int], boundary: int) -> Sharpness:
    blocks = signals.shape[1]
    weights = _contrasts(blocks, boundary)
    changes = signals @ weights.change
    size = float(np.linalg.norm(changes))
    if size == 0:
        return Sharpness(boundary=boundary, share=0.0, width=float(blocks), p=1.0, smooth_p=1.0, seen=1 / _LEAST_NOISE)
    combined = changes @ signals / size
    noise, freedom = _noise(combined, boundaries)
    contrast = weights.jump - LEAST_SHARE * weights.change
    error = max(noise * float(np.linalg.norm(contrast)), _LEAST_NOISE * size)
    t = float(contrast @ combined) / error
    reach = scipy.stats.t.ppf(1 - ALPHA, freedom) + scipy.stats.t.ppf(POWER, freedom)
    return Sharpness(
        boundary=boundary,
        share=float(weights.jump @ combined) / size,
        width=_width(signals, boundaries, boundary),
        p=float(scipy.stats.t.sf(t, freedom)),
        smooth_p=float(scipy.stats.t.cdf(t, freedom)),
        seen=LEAST_SHARE + float(reach) * error / size,
    )


def _contrasts(blocks: int, boundary: int) -> _Contrasts:
    window = max(2, round(_WINDOW * blocks))
    at = int(np.clip(boundary, window, blocks - window))
    distance = np.arange(window) + 0.5
    to_edge = np.linalg.pinv(np.column_stack([np.ones(window), distance]))[0]
    jump, change = np.zeros(blocks), np.zeros(blocks)
    jump[at : at + window], jump[at - window : at] = to_edge, -to_edge[::-1]
    change[at : at + window], change[at - window : at] = 1 / window, -1 / window
    return _Contrasts(jump=jump, change=change)


def _width(signals: Floats, boundaries: Sequence[int], boundary: int) -> float:
    """Return the number of layers that the change between two segments takes at its rate at the boundary."""
    blocks = signals.shape[1]
    ends = [0, *boundaries, blocks]
    number = ends.index(boundary)
    before, after = signals[:, ends[number - 1] : boundary], signals[:, boundary : ends[number + 1]]
    levels = after.mean(1) - before.mean(1)
    rate = float(levels @ (after[:, 0] - before[:, -1]))
    return float(np.clip(levels @ levels / rate, 1.0, blocks)) if rate > 0 else float(blocks)


def _noise(values: Floats, boundaries: Sequence[int]) -> tuple[float, int]:
    """Return the residual standard deviation of values (L,) from a line in each segment, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for segment in np.split(values, list(boundaries)):
        lines = np.vander(np.arange(len(segment)), 2 if len(segment) > _SHORT else 1)
        residuals = segment - lines @ np.linalg.lstsq(lines, segment, rcond=None)[0]
        squares += float(residuals @ residuals)
        freedom += len(segment) - lines.shape[1]
    return float(np.sqrt(squares / max(freedom, 1))), max(freedom, 1)
