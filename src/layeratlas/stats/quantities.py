"""Quantities of a level's curve with their bootstrap: peaks, ranges, onsets and values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import depths
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.intervals import Z95, percentile_interval
from layeratlas.stats.peaks import cross_halves, onset, tie_error, top_depth

Unit = Literal["depth", "value", "log10"]
# The number of quantiles that represent a distribution without draws, and of draws in unpaired comparisons.
EVEN = 1000


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity of a model: its estimate, the error of each bootstrap draw (B,), and the grain of its scale.

    `grain` is the standard error of a depth that comes from the discrete grid of layers and from layers that tie (0 for
    other quantities).
    `unit` is a fraction of depth, the unit of the measure, or log10.
    """

    estimate: float
    noise: Floats
    grain: float
    unit: Unit

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % percentile interval, widened by the grain."""
        lo, hi = (float(end) for end in percentile_interval(self.noise))
        reach = Z95 * self.grain
        return (
            float(self.estimate - np.hypot(min(lo, 0.0), reach)),
            float(self.estimate + np.hypot(max(hi, 0.0), reach)),
        )

    @property
    def spread(self) -> float:
        """The standard error."""
        return max(float(np.hypot(self.noise.std(), self.grain)), 1e-12)


def minus(b: Quantity, a: Quantity) -> Quantity:
    """Return b - a, draw by draw."""
    return Quantity(
        estimate=b.estimate - a.estimate, noise=b.noise - a.noise, grain=float(np.hypot(a.grain, b.grain)), unit=b.unit
    )


def grid_error(step: float) -> float:
    """Return the standard error of a position known to one grid step, as a uniform error: step / sqrt(12)."""
    return float(step / np.sqrt(12))


def normal_errors(spread: float) -> Floats:
    """Return errors (EVEN,) at even quantiles of a normal distribution of that standard deviation."""
    errors: Floats = spread * scipy.special.ndtri((np.arange(EVEN) + 0.5) / EVEN)
    return errors


def curve_quantities(curve: LevelDraws, component: str, placed: bool) -> dict[str, Quantity]:
    """Return the quantities of a level's curve that are compared, by name.

    Two are always present: `peak value` (the layer chosen on one half of the groups, the value read on the other) and
    `last value`. With `placed`, for a level that is encoded, there are also `peak depth`, `range start` and `range end`
    (the layers within one standard error of the maximum) and, if the curve is shown to exceed its floor, `onset depth`
    (half of the rise above it).
    """
    last = curve.draws[:, -1] - curve.estimate[-1]
    values = {
        "peak value": peak_value(curve).value,
        "last value": Quantity(estimate=float(curve.estimate[-1]), noise=last, grain=0.0, unit="value"),
    }
    return values | (_places(curve, component) if placed else {})


def _places(curve: LevelDraws, component: str) -> dict[str, Quantity]:
    depth = depths(len(curve.estimate), component)
    grain = grid_error(float(depth[1] - depth[0])) if len(depth) > 1 else 0.0
    rows = np.concatenate([curve.estimate[None], curve.draws])  # row 0 is the estimate
    start, end = _range(rows, curve.draws.std(0))
    places = {
        "peak depth": top_depth(rows, depth),
        "range start": depth[start],
        "range end": depth[end],
    }
    gains = rows - curve.floor
    # A level may be encoded and not exceed its surface baseline: the curve then never rises above its floor.
    if percentile_interval(gains[1:, gains[0].argmax()])[0] > 0:
        places["onset depth"] = onset(gains, depth)
    tied = {"peak depth": tie_error(rows, depth)}
    return {
        name: Quantity(
            estimate=float(at[0]), noise=at[1:] - at[0], grain=float(np.hypot(grain, tied.get(name, 0.0))), unit="depth"
        )
        for name, at in places.items()
    }


def _range(values: Floats, spread: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last layer of the range around the maximum that is within one standard error of it."""
    layer, top = np.arange(values.shape[1]), values.argmax(1)
    outside = values < (values.max(1) - spread[top])[:, None]
    start = np.where(outside & (layer < top[:, None]), layer, -1).max(1) + 1
    end = np.where(outside & (layer > top[:, None]), layer, len(layer)).min(1) - 1
    return start, end


class Halved(NamedTuple):
    """A quantity with its values on random halves of the groups and on their complements, each (H,)."""

    value: Quantity
    half_a: Floats
    half_b: Floats


def peak_value(curve: LevelDraws) -> Halved:
    """Return the value at the peak: the layer is chosen on one half of the groups and the value read on the other.

    Choosing and reading on the same groups would bias the value upward by selection.
    """
    half_a, half_b = cross_halves(curve.half_a, curve.half_b)
    top = int(curve.estimate.argmax())
    estimate = float(np.mean([half_b.mean(), half_a.mean()]))
    return Halved(
        Quantity(estimate=estimate, noise=curve.draws[:, top] - curve.estimate[top], grain=0.0, unit="value"),
        half_a,
        half_b,
    )


def value_at(curve: LevelDraws, component: str, depth: float) -> Halved:
    """Return the value at a relative depth, interpolated between layers."""
    estimate, draws, half_a, half_b = (
        _interpolated(values, component, depth) for values in (curve.estimate, curve.draws, curve.half_a, curve.half_b)
    )
    return Halved(Quantity(estimate=float(estimate), noise=draws - estimate, grain=0.0, unit="value"), half_a, half_b)


def _interpolated(values: Floats, component: str, depth: float) -> Floats:
    """Return curves (..., P) at a relative depth."""
    grid = depths(values.shape[-1], component)
    right = int(np.clip(np.searchsorted(grid, depth), 1, len(grid) - 1))
    share = np.clip((depth - grid[right - 1]) / (grid[right] - grid[right - 1]), 0, 1)
    between: Floats = (1 - share) * values[..., right - 1] + share * values[..., right]
    return between
