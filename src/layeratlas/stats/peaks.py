"""Where a curve peaks and where it begins to rise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve, Reference
from layeratlas.stats.intervals import Z95

# A rule that chooses one of P columns: scores (..., P) of their values (..., P), of which the highest is chosen.
Judge = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The best layer of a curve.

    `value` is the score at a layer chosen on one half of the groups and read on the other half, so that selection does
    not bias it upward; `lo, hi` is its 95 % interval. `first, last` is the contiguous range of layers within one
    bootstrap standard error of the maximum. `depths` (B,) is the bootstrap distribution of the peak's depth
    (`drawn_depth`).
    """

    layer: int
    first: int
    last: int
    value: float
    lo: float
    hi: float
    depths: Floats


def find_peak(curve: Curve) -> Peak:
    """Return the peak of a curve."""
    layer = int(curve.estimate.argmax())
    lo, hi = (ends[layer] for ends in curve.interval)
    spread = float(hi - lo) / (2 * Z95)
    near = curve.estimate >= curve.estimate[layer] - spread
    first = last = layer
    while first > 0 and near[first - 1]:
        first -= 1
    while last < len(near) - 1 and near[last + 1]:
        last += 1
    value = float(cross_chosen(curve, np.zeros(len(near))))
    depths = drawn_depth(curve.draws, curve.depth, curve.level)
    top = value + Z95 * spread
    return Peak(
        layer=layer,
        first=first,
        last=last,
        value=value,
        lo=value - Z95 * spread,
        hi=top if curve.metric == "r2" else min(1.0, top),  # all other measures are at most 1
        depths=depths,
    )


def top_depth(values: Floats, depth: Floats) -> Floats:
    """Return the depth of the highest layer of `values` (..., P).

    Layers that tie (for example at the ceiling) are averaged; taking the first would make a false order look certain.
    In draws the mean of all tied layers would look as certain: see `drawn_depth` and `tie_error`.
    """
    depths: Floats = _among_highest(values) @ depth
    return depths


def drawn_depth(draws: Floats, depth: Floats, level: str) -> Floats:
    """Return the depth of the highest layer of each draw (B, P), (B,); of layers that tie, one is chosen at random.

    A curve that is at its ceiling everywhere may peak anywhere. The choices are seeded by the level, so that two levels
    do not tie alike.
    """
    sums = _among_highest(draws).cumsum(-1)
    chosen = np.random.default_rng([*level.encode(), 67]).random((len(draws), 1))
    depths: Floats = depth[(sums > chosen * sums[:, -1:]).argmax(-1)]
    return depths


def tie_error(values: Floats, depth: Floats) -> float:
    """Return the standard error of `top_depth` from layers that tie: the peak may be at each; 0 where none do.

    It is the root mean square over the rows of `values` (..., P). A curve at its ceiling everywhere has the same mean
    of tied layers in every draw, which says nothing about where it peaks.
    """
    among = _among_highest(values)
    return float(np.sqrt(np.maximum(among @ depth**2 - (among @ depth) ** 2, 0.0).mean()))


def _among_highest(values: Floats) -> Floats:
    """Return weights (..., P) that are equal for the layers with the highest value, and 0 for all others."""
    top = values == values.max(-1, keepdims=True)
    weights: Floats = top / top.sum(-1, keepdims=True)
    return weights


def onset(gains: Floats, depth: Floats) -> Floats:
    """Return the depth at which gains (B, P) first pass half of their largest value, interpolated linearly.

    A curve that never exceeds 0 has its onset at the last depth.
    """
    half = gains.max(1) / 2
    at = (gains >= half[:, None]).argmax(1)
    before, rows = np.maximum(at - 1, 0), np.arange(len(gains))
    low, high = gains[rows, before], gains[rows, at]
    step = np.where(high > low, (half - low) / np.where(high > low, high - low, 1), 1.0)
    place = depth[before] + np.clip(step, 0, 1) * (depth[at] - depth[before])
    depths: Floats = np.where(half > 0, place, depth[-1])
    return depths


def cross_chosen(curve: Curve | Reference, reference: Floats) -> float:
    """Return the mean of (estimate - reference estimate) with the layer chosen on the other half of the groups.

    `reference` (P,) are weights of the layers to subtract; zeros for none.
    """
    half_a, half_b = (half - (half @ reference)[:, None] for half in (curve.half_a, curve.half_b))
    return cross_read(half_a, half_b)


def as_it_is(values: Floats) -> Floats:
    """Return values unchanged: the rule that chooses the highest of them."""
    return values


def cross_halves(
    half_a: Floats, half_b: Floats, judge: Judge = as_it_is, chosen_on: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats]:
    """Return values on halves of the groups, (H,), each at the column that is best on the complement of the half.

    `half_a`, `half_b` (H, P): the values on random halves and on their complements. The best column is the one with
    the highest `judge(values)`, by default the highest value. `chosen_on` are the values on the same halves that choose
    the column, by default those that are read.
    """
    on_a, on_b = chosen_on or (half_a, half_b)
    on_a, on_b = (
        np.take_along_axis(read_on, judge(chooses).argmax(1)[:, None], 1)[:, 0]
        for chooses, read_on in ((on_b, half_a), (on_a, half_b))
    )
    return on_a, on_b


def cross_read(
    half_a: Floats, half_b: Floats, judge: Judge = as_it_is, chosen_on: tuple[Floats, Floats] | None = None
) -> float:
    """Return the mean value at the column chosen on other groups, which the choice does not raise (`cross_halves`)."""
    return float(np.mean(cross_halves(half_a, half_b, judge, chosen_on)))
