"""Axis limits on round numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from layeratlas.report.parts import PartKind

# The key of the limits that all whole levels share; those of a single part are under its code.
LEVELS = "levels"
Limits = dict[str, list[float]]

_REACHED = ("estimate", "chance", "control", "baseline", "random_weights")
_BANDS = ("lo", "hi", "control_lo", "control_hi")


def axis_limits(rows: pl.DataFrame) -> Limits:
    """Return the limits of one metric's axis, `[low, high]`, for all levels together and for each part on its own.

    The same for every component and method, so that charts stay comparable when these change.
    """
    levels = rows.filter(pl.col("kind") == PartKind.LEVEL)
    limits = {LEVELS: _limits(rows if levels.is_empty() else levels)}
    return limits | {str(part): _limits(of_part) for (part,), of_part in rows.group_by("part", maintain_order=True)}


def _limits(rows: pl.DataFrame) -> list[float]:
    """Return limits that hold every estimate, control, baseline and the chance level.

    Where chance is known the axis starts at the lowest of these, not at the lowest end of an interval, and at most half
    of the range above chance below it: a few wide intervals or very low scores do not flatten the rest.
    """
    reached, bands = _finite(rows, _REACHED), _finite(rows, _BANDS)
    chance = _finite(rows, ["chance"])
    high = max(reached + bands)
    low = min(reached if chance else reached + bands)
    if chance:
        low = max(low, min(chance) - 0.5 * max(high - min(chance), 0.05))
    step = 0.05 if high - low < 1 else 0.1
    # A little room below, since a line on the axis itself could not be seen; but no negative accuracies.
    bottom = math.floor(round((low - 0.2 * step) / step, 6)) * step
    signed = low < 0 or 0.0 in chance
    bottom = bottom if signed else max(bottom, 0.0)
    return [round(bottom, 4), round(math.ceil(round(high / step, 6)) * step, 4)]


def _finite(rows: pl.DataFrame, columns: Sequence[str]) -> list[float]:
    return [v for name in columns for v in rows[name].drop_nulls().to_list() if math.isfinite(v)]
