"""How sharp a boundary is: the share of the change across it that happens between two neighbouring blocks.

Two boundaries can be placed on any smooth change, and no trend follows every smooth shape. What sets a boundary apart
is a jump: the lines through the blocks on either side, extended to the boundary, do not meet. The jump over the change
across the boundary is 1 for a step and near 0 for a smooth change, whatever its shape. A boundary is sharp where this
share is above one half.
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

# Blocks on either side of a boundary through which a line is drawn, as a share of all blocks; at least two.
_WINDOW = 0.06
# A change is a boundary where more than this share of it happens between two neighbouring blocks.
LEAST_SHARE = 0.5
# A segment of so few blocks is taken as level: a line would leave too little to estimate the noise from.
_SHORT = 3
# The smallest noise of a contrast, as a share of the change: what is less is rounding.
_LEAST_NOISE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """How sharp one boundary (the first block after it) is.

    `share` is the jump over the change across the boundary, over all signals. `p` is one-sided against a share of one
    half or less, `smooth_p` against one half or more. `seen` is the smallest share that this test finds with a power
    of 0.8; above 1 the noise hides even a step. `width` is how many layers it would take from the mean of the segment
    before to that of the segment after at the rate of change at the boundary: 1 for a step, at most all of them.
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
    """Return how sharp each boundary of signals (S, L) is, the first and the last block left out from 8 blocks on.

    Signals are scaled to unit variance over blocks and summed with weights in proportion to their change across the
    boundary. The noise is that of the sum about a line in each segment (about its mean in a short one); the test is
    Student's t with the degrees of freedom that these lines leave. It is conservative where a segment is curved.
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

    The percentile interval, widened for few passages, at the boundaries of the mean signals (S, L).
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
    """Return how many layers the change from one segment to the next takes at the rate that it has at the boundary."""
    blocks = signals.shape[1]
    ends = [0, *boundaries, blocks]
    number = ends.index(boundary)
    before, after = signals[:, ends[number - 1] : boundary], signals[:, boundary : ends[number + 1]]
    levels = after.mean(1) - before.mean(1)
    rate = float(levels @ (after[:, 0] - before[:, -1]))
    return float(np.clip(levels @ levels / rate, 1.0, blocks)) if rate > 0 else float(blocks)


def _noise(values: Floats, boundaries: Sequence[int]) -> tuple[float, int]:
    """Return the standard deviation of values (L,) about a line in each segment, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for segment in np.split(values, list(boundaries)):
        lines = np.vander(np.arange(len(segment)), 2 if len(segment) > _SHORT else 1)
        residuals = segment - lines @ np.linalg.lstsq(lines, segment, rcond=None)[0]
        squares += float(residuals @ residuals)
        freedom += len(segment) - lines.shape[1]
    return float(np.sqrt(squares / max(freedom, 1))), max(freedom, 1)
