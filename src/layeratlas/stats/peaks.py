"""Where a curve peaks and where it begins to rise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve, Reference
from layeratlas.stats.intervals import Z95, percentile_interval

# A rule that chooses one of P columns: scores (..., P) of their values (..., P), of which the highest is chosen.
Judge = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Peak:
    """The best layer of a curve.

    `value` is the score at a layer chosen on one half of the groups and read on the other half, so that selection does
    not bias it upward; `lo, hi` is its 95 % interval. `first, last` is the contiguous range of layers within one
    bootstrap standard error of the maximum. `depths` (B,) is the bootstrap distribution of the peak's depth; `ends` are
    those of the first and of the last of the layers that are highest in a draw, which differ only where layers tie.
    """

    layer: int
    first: int
    last: int
    value: float
    lo: float
    hi: float
    depths: Floats
    ends: tuple[Floats, Floats]


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
    depths = top_depth(curve.draws, curve.depth)
    top = value + Z95 * spread
    return Peak(
        layer=layer,
        first=first,
        last=last,
        value=value,
        lo=value - Z95 * spread,
        hi=top if curve.metric == "r2" else min(1.0, top),  # all other measures are at most 1
        depths=depths,
        ends=top_ends(curve.draws, curve.depth),
    )


def top_depth(values: Floats, depth: Floats) -> Floats:
    """Return the depth of the highest layer of `values` (..., P).

    Layers that tie (for example at the ceiling) are averaged; taking the first would make a false order look certain.
    """
    top = values == values.max(-1, keepdims=True)
    depths: Floats = (top * depth).sum(-1) / top.sum(-1)
    return depths


def top_ends(values: Floats, depth: Floats) -> tuple[Floats, Floats]:
    """Return the depths of the first and of the last of the highest layers of `values` (..., P)."""
    top = values == values.max(-1, keepdims=True)
    return np.where(top, depth, np.inf).min(-1), np.where(top, depth, -np.inf).max(-1)


def ends_interval(firsts: Floats, lasts: Floats) -> tuple[float, float]:
    """Return the 95 % interval of a peak's depth from the `ends` of draws: any of the layers that tie may be the peak.

    With their mean, a curve at its ceiling at every layer would seem to peak in the middle for certain.
    """
    return float(percentile_interval(firsts)[0]), float(percentile_interval(lasts)[1])


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


def cross_halves(half_a: Floats, half_b: Floats, judge: Judge = as_it_is) -> tuple[Floats, Floats]:
    """Return values on halves of the groups, (H,), each at the column that is best on the complement of the half.

    `half_a`, `half_b` (H, P): the values on random halves and on their complements. The best column is the one with
    the highest `judge(values)`, by default the highest value.
    """
    on_a, on_b = (
        np.take_along_axis(read_on, judge(chosen_on).argmax(1)[:, None], 1)[:, 0]
        for chosen_on, read_on in ((half_b, half_a), (half_a, half_b))
    )
    return on_a, on_b


def cross_read(half_a: Floats, half_b: Floats, judge: Judge = as_it_is) -> float:
    """Return the mean value at the column chosen on other groups, which the choice does not raise (`cross_halves`)."""
    return float(np.mean(cross_halves(half_a, half_b, judge)))
