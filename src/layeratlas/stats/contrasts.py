"""Differences between models on the same texts: peaks, ranges, onsets and values, with paired intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import depths
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.peaks import onset, top_depth
from layeratlas.stats.verdicts import Verdict

_Z95 = 1.959964
# A difference whose interval stays within this much is called none: fractions of depth, units of the measure, log10.
MARGINS = {"depth": 0.05, "value": 0.02, "log10": 0.1}


@dataclass(frozen=True)
class Quantity:
    """A number that a model has: its estimate, the error of each bootstrap draw (B,), and the grain of its scale.

    `grain` is the standard error that a grid of layers alone gives to a depth (0 for others). `unit` is one of
    MARGINS.
    """

    estimate: float
    noise: Floats
    grain: float
    unit: str

    @cached_property
    def interval(self) -> tuple[float, float]:
        """The 95 % percentile interval, widened by the grain."""
        lo, hi = np.percentile(self.noise, [2.5, 97.5])
        reach = _Z95 * self.grain
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
    return Quantity(b.estimate - a.estimate, b.noise - a.noise, float(np.hypot(a.grain, b.grain)), b.unit)


def quantities(curve: LevelDraws, component: str, placed: bool) -> dict[str, Quantity]:
    """Return what is compared of a level curve, by name.

    Always `peak value` (its layer chosen on one half of the groups and read on the other) and `last value`; where the
    level is read at all (`placed`) also `peak depth`, `range start` and `range end` (the layers within one standard
    error of the maximum) and `onset depth` (half of the rise above the floor).
    """
    top = int(curve.estimate.argmax())
    chosen = []
    for on, read in ((curve.half_a, curve.half_b), (curve.half_b, curve.half_a)):
        chosen.append(np.take_along_axis(read, on.argmax(1)[:, None], 1).mean())
    out = {
        "peak value": Quantity(float(np.mean(chosen)), curve.draws[:, top] - curve.estimate[top], 0.0, "value"),
        "last value": Quantity(float(curve.estimate[-1]), curve.draws[:, -1] - curve.estimate[-1], 0.0, "value"),
    }
    if not placed:
        return out
    depth = depths(len(curve.estimate), component)
    # A maximum between two layers is known to half a step: the standard deviation of a uniform error.
    grain = float(depth[1] - depth[0]) / np.sqrt(12) if len(depth) > 1 else 0.0
    both = np.concatenate([curve.estimate[None], curve.draws])
    spread = curve.draws.std(0)
    start, end = _range(both, spread)
    places = {"peak depth": top_depth(both, depth), "range start": depth[start], "range end": depth[end]}
    places["onset depth"] = onset(both - curve.floor, depth)
    return out | {n: Quantity(float(v[0]), v[1:] - v[0], grain, "depth") for n, v in places.items()}


def _range(values: Floats, spread: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and last layer of the run around the maximum that is within one standard error of it."""
    place, top = np.arange(values.shape[1]), values.argmax(1)
    far = values < (values.max(1) - spread[top])[:, None]
    start = np.where(far & (place < top[:, None]), place, -1).max(1) + 1
    end = np.where(far & (place > top[:, None]), place, len(place)).min(1) - 1
    return start, end


def sized(curve: LevelDraws, component: str, where: str) -> tuple[Quantity, Floats, Floats]:
    """Return a curve's value with its halves (H,): at the `peak`, the `last` layer or, say, `depth 0.50`.

    A peak's value on one half is read at the layer chosen on the other.
    """
    if where == "peak":
        pairs = ((curve.half_b, curve.half_a), (curve.half_a, curve.half_b))
        a, b = (np.take_along_axis(read, on.argmax(1)[:, None], 1)[:, 0] for on, read in pairs)
        return quantities(curve, component, False)["peak value"], a, b
    depth = 1.0 if where == "last" else float(where.split()[1])
    a, b = (_at(half, component, depth) for half in (curve.half_a, curve.half_b))
    value, draws = _at(curve.estimate, component, depth), _at(curve.draws, component, depth)
    return Quantity(float(value), draws - value, 0.0, "value"), a, b


def _at(values: Floats, component: str, depth: float) -> Floats:
    """Return curves (..., P) at a relative depth, between layers by a line."""
    grid = depths(values.shape[-1], component)
    right = int(np.clip(np.searchsorted(grid, depth), 1, len(grid) - 1))
    share = np.clip((depth - grid[right - 1]) / (grid[right] - grid[right - 1]), 0, 1)
    found: Floats = (1 - share) * values[..., right - 1] + share * values[..., right]
    return found


def adjusted(differences: Sequence[Quantity]) -> list[float]:
    """Return each difference's two-sided p against none, corrected for all that are looked at together.

    Single-step maximum of studentised bootstrap errors (Westfall and Young 1993); draws of one text set are shared by
    all models, so that differences keep their dependence. Never below 1 / (B + 1).
    """
    if not differences:
        return []
    spread = np.array([d.spread for d in differences])
    sizes = np.abs([d.estimate for d in differences]) / spread
    rng = np.random.default_rng(23)
    count = min(len(d.noise) for d in differences)
    most = np.zeros(count)
    for d, sd in zip(differences, spread, strict=True):
        # Two grids of layers err by up to the sum of their half steps, more than one uniform error of that variance.
        noise = d.noise[:count] + rng.standard_normal(count) * d.grain
        most = np.maximum(most, np.abs(noise) / sd)
    return [(1 + float((most >= size - 1e-9).sum())) / (1 + len(most)) for size in sizes]


def verdict_of(difference: Quantity, p: float) -> Verdict:
    """Return `supported` for a difference, `not supported` where the interval stays within its unit's margin.

    A difference must pass the corrected test and have an interval without 0: errors can be lopsided, and the test
    takes them to be as large on both sides.
    """
    lo, hi = difference.interval
    if p <= 0.05 and not lo <= 0 <= hi:
        return "supported"
    within = max(abs(lo), abs(hi)) <= MARGINS[difference.unit]
    return "not supported" if within else "inconclusive"
