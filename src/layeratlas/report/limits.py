"""Axis limits on round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from layeratlas.report.parts import PartKind

# The key of the limits shared by all whole levels; the limits of a single part are under its code.
LEVELS = "levels"
Limits = dict[str, list[float]]

_REACHED = ("estimate", "chance", "control", "baseline", "random_weights")
_BANDS = ("lo", "hi", "control_lo", "control_hi")
_ROOM = 0.03
# Twice the expected share of 95 % intervals that lie below chance if the true value is at chance.
_BY_CHANCE = 0.05


def axis_limits(rows: pl.DataFrame) -> Limits:
    """Return the limits of one metric's axis, `[low, high]`, for all levels together and for each part.

    The parts of a level share their limits. Limits are the same for every component and method, so that charts stay
    comparable when these change.
    """
    levels = rows.filter(pl.col("kind") == PartKind.LEVEL)
    limits = {LEVELS: _limits(rows if levels.is_empty() else levels)}
    for _, of_level in rows.group_by("level", maintain_order=True):
        ends = _limits(of_level)
        limits |= {str(part): ends for part in of_level["part"].unique(maintain_order=True)}
    return limits


def _limits(rows: pl.DataFrame) -> list[float]:
    """Return limits that contain every estimate, control, baseline and the chance level.

    If the chance level is known, it is the lower limit, and values below it are drawn at the edge. The lower limit is
    reduced, by at most half of the range above chance, only if more estimates have their whole interval below chance
    than expected.
    """
    reached, bands = _finite(rows, _REACHED), _finite(rows, _BANDS)
    chance = _finite(rows, ["chance"])
    high = max(reached + bands)
    if not chance:
        low = min(reached + bands)
        step = 0.05 if high - low < 1 else 0.1
        return [round(math.floor(round(low / step, 6)) * step, 4), _ceiling(high, step)]
    floor = min(chance)
    below = rows.filter(pl.col("hi") < pl.col("chance"))
    low = min([floor, *_finite(below, ["estimate"])]) if len(below) > _BY_CHANCE * len(rows) else floor
    span = max(high - floor, 0.05)
    # A small margin below, because a line on the axis itself would be invisible.
    low = max(low, floor - 0.5 * span) - _ROOM * span
    return [round(low, 4), _ceiling(high, 0.05 if span < 1 else 0.1)]


def _ceiling(high: float, step: float) -> float:
    return round(math.ceil(round(high / step, 6)) * step, 4)


def _finite(rows: pl.DataFrame, columns: Sequence[str]) -> list[float]:
    return [v for name in columns for v in rows[name].drop_nulls().to_list() if math.isfinite(v)]
