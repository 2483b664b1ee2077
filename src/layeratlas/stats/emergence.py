"""At what depth a level emerges: where its curve rises above the floor.

A plateau has no meaningful peak, but it has a rise. The usual mark, half of the rise, is unstable if a curve rises in
two steps: the depth jumps from one step to the other as their heights change. The emergence depth is therefore the mean
of the depths at which the curve first passes each share of its rise from 10 to 90 %. These are the limits of the rise
time in signal processing: noise before the rise affects lower shares, and noise on a plateau affects higher ones.

The rise ends at the height of the best layer, chosen on one half of the groups and read on the other. The highest
estimate is too high on a plateau, by more the fewer texts there are, and would move the depth of a level with few texts
deeper than that of a level with many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.gains import gains_of, risen
from layeratlas.stats.intervals import Z95, percentile_interval
from layeratlas.stats.tests import two_sided_z
from layeratlas.stats.verdicts import Effect

# The shares of the rise over which the emergence depth is a mean.
LOWEST, HIGHEST = 0.1, 0.9
# The standard error of the bias correction, as a multiple of the correction. With this value, intervals have nominal
# coverage of planted depths at 16, 30 and 80 layers (`layeratlas validate`).
_UNSURE = 1.5
# What the choice of a penalty at every layer, which no draw repeats, adds to the spread of the depth of a signal, as a
# factor: 1.1 with one penalty, 1.2 with a choice of seven, in simulated runs (`layeratlas validate`).
_CHOSEN_ANEW = 1.2
# The standard error of the correction where the height of the rise is read on halves of the groups, which leaves less
# to correct.
_UNSURE_OF_HALVES = 0.25


def rise(gains: Floats) -> Floats:
    """Return the share of its rise that a curve has reached at or before each layer, (..., P), from 0 to 1.

    `gains` (..., P) are estimates minus their floor; negative gains count as 0. A curve that never exceeds its floor
    has share 0 throughout.
    """
    best = np.maximum.accumulate(np.maximum(gains, 0.0), -1)
    top = best[..., -1:]
    share: Floats = np.divide(best, top, out=np.zeros_like(best), where=top > 0)
    return share


def emergence_depth(gains: Floats, depth: Floats) -> Floats:
    """Return the mean depth (...) at which gains (..., P) first pass each share of their rise, from 10 to 90 %.

    Curves are linear between layers. A curve that never rises emerges at the last depth.
    """
    reached = rise(gains)
    previous, start, end = _between(reached)
    step = reached - previous
    # The position of the mean share between two layers, as a fraction of the way from one to the next.
    way = np.divide((start + end) / 2 - previous, step, out=np.zeros_like(step), where=step > 0)
    before = np.concatenate([depth[:1], depth[:-1]])
    mean = ((end - start) * (before + way * (depth - before))).sum(-1) / (HIGHEST - LOWEST)
    depths: Floats = np.where(reached[..., -1] > 0, mean, depth[-1])
    return depths


def grid_spread(gains: Floats, depth: Floats) -> Floats:
    """Return the standard error (...) of an emergence depth from the spacing of the points at which gains are known.

    Where the whole rise of gains (..., P) falls between two points, it may be anywhere between them: a uniform error,
    their distance / sqrt(12). Of a rise over many points the depth is nearly exact. The error between two points is
    therefore weighted by the squared share of the rise between them, with which intervals over training have nominal
    coverage (`tests/truth/test_training_rates.py`).
    """
    _, start, end = _between(rise(gains))
    shares, gaps = (end - start) / (HIGHEST - LOWEST), np.diff(depth, prepend=depth[:1])
    spread: Floats = np.sqrt(((shares**2 * gaps) ** 2).sum(-1) / 12)
    return spread


def _between(reached: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the share of the rise at the layer before, and both ends of each step, cut to 10 to 90 %, (..., P)."""
    previous = np.concatenate([np.zeros_like(reached[..., :1]), reached[..., :-1]], -1)
    start, end = (np.clip(share, LOWEST, HIGHEST) for share in (previous, reached))
    return previous, start, end


def passage_depth(gains: Floats, depth: Floats, share: float) -> Floats:
    """Return the depth (...) at which gains (..., P) first pass a share of their rise, interpolated linearly."""
    reached = rise(gains)
    at = (reached >= share).argmax(-1)
    before = np.maximum(at - 1, 0)
    low, high = (np.take_along_axis(reached, place[..., None], -1)[..., 0] for place in (before, at))
    way = np.divide(share - low, high - low, out=np.ones_like(low), where=high > low)
    passed = depth[before] + np.clip(way, 0, 1) * (depth[at] - depth[before])
    depths: Floats = np.where(reached[..., -1] > 0, passed, depth[-1])
    return depths


def start_depth(gains: Floats, depth: Floats) -> Floats:
    """Return the depth (...) at which the rise of gains (..., P) starts: the tangent onset of signal processing.

    The line through the first passages of a quarter and of half of the rise is extended down to the floor. For a
    straight rise this is the point where it leaves the floor. Noise below a quarter of the rise has no effect.
    """
    quarter, half = (passage_depth(gains, depth, share) for share in (0.25, 0.5))
    start: Floats = np.clip(2 * quarter - half, depth[0], depth[-1])
    return start


def settled_depth(gains: Floats, depth: Floats, share: float = 0.5) -> Floats:
    """Return the depth (...) from which gains (..., P) stay above a share of their maximum.

    Infinite if they are below it at the last layer, or never above 0.
    """
    top = np.maximum(gains, 0.0).max(-1, keepdims=True)
    below = (gains < share * top) | (top <= 0)
    last = below.shape[-1] - 1 - below[..., ::-1].argmax(-1)
    first = np.where(below.any(-1), last + 1, 0)
    depths: Floats = np.append(depth, np.inf)[first]
    return depths


# Maps gains (..., P) at depths (P,) to a depth (...).
Definition = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Emergence:
    """A depth of emergence, corrected for the bias of noise, and its standard error.

    Noise shifts the first passage of a share in one direction. The bootstrap estimates this bias: draws differ from the
    estimate as the estimate differs from the truth. The mean difference is subtracted once. This correction is itself
    uncertain, and too small on a plateau, where the estimate's maximum is already too high. The standard error
    therefore combines the spread of the draws (B,), the correction times `unsure`, and `moved`: the variation over
    other wordings, word lists, folds and seeds, or the error from the spacing of checkpoints.
    """

    estimate: float
    bias: float
    draws: Floats
    moved: float = 0.0
    unsure: float = _UNSURE

    @property
    def error(self) -> float:
        """The standard error."""
        return float(np.hypot(self.draws.std(), self.systematic))

    @property
    def bias_error(self) -> float:
        """The standard error of the correction."""
        return self.unsure * abs(self.bias)

    @property
    def systematic(self) -> float:
        """The standard error that is not in the draws over groups."""
        return float(np.hypot(self.bias_error, self.moved))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, clipped to 0 to 1."""
        reach = Z95 * self.error
        return max(self.estimate - reach, 0.0), min(self.estimate + reach, 1.0)


def measure_emergence(curve: Curve, definition: Definition = emergence_depth, moved: float = 0.0) -> Emergence:
    """Return the depth at which a curve emerges, by a definition; `moved` is an additional standard error.

    Where a signal rests on an assumed share of training noise, the error from that is added to `moved`.
    """
    gains, drawn = risen(curve)
    measured = measure_depth(gains, drawn, curve.depth, definition)
    unsure = _UNSURE_OF_HALVES if curve.half_a.size else _UNSURE
    if curve.signal is not None:
        centre = measured.draws.mean()
        measured = replace(measured, draws=centre + _CHOSEN_ANEW * (measured.draws - centre))
    return replace(measured, moved=float(np.hypot(moved, _assuming(curve, definition))), unsure=unsure)


def _assuming(curve: Curve, definition: Definition) -> float:
    """Return the standard error of a depth from the assumed share of training noise; 0 if it was measured."""
    if curve.signal is None or not curve.signal.ends.size:
        return 0.0
    least, most = definition(curve.signal.ends, curve.depth)
    return abs(float(most - least)) / 2


def measure_depth(gains: Floats, drawn: Floats, depth: Floats, definition: Definition) -> Emergence:
    """Return the depth of gains (P,) over a floor, by a definition; `drawn` (B, P) are their bootstrap draws."""
    raw, draws = float(definition(gains, depth)), definition(drawn, depth)
    bias = float(draws.mean()) - raw
    # Clip the corrected depth to the depths of the curve.
    estimate = float(np.clip(raw - bias, 0.0, depth[-1]))
    return Emergence(estimate=estimate, bias=bias, draws=draws)


def settled(curve: Curve) -> Effect:
    """Return the depth from which a curve stays above half of its maximum, infinite if it does not stay above."""
    gains, drawn = gains_of(curve)
    draws = settled_depth(drawn, curve.depth)
    # 2 (any number beyond the last depth) stands for draws that never settle, so that percentiles exist.
    lo, hi = percentile_interval(np.where(np.isinf(draws), 2.0, draws))
    ends = [float("inf") if end > 1 else float(end) for end in (lo, hi)]
    return Effect(estimate=float(settled_depth(gains, curve.depth)), lo=ends[0], hi=ends[1])


def emergence_gap(earlier: Emergence, later: Emergence) -> Effect:
    """Return how much deeper one level emerges than another, by paired draws; p is two-sided and normal."""
    estimate = later.estimate - earlier.estimate
    spread = float(np.hypot((later.draws - earlier.draws).std(), np.hypot(later.systematic, earlier.systematic)))
    return Effect(
        estimate=estimate,
        lo=estimate - Z95 * spread,
        hi=estimate + Z95 * spread,
        p=two_sided_z(estimate, spread, len(later.draws)),
    )
