"""The map of a run as lines of text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # drawing rows that are known needs no polars
    from layeratlas.report.view import View

# Shades in equal steps from the floor (or below) to nearly the highest possible value; the first is a dot, so that the
# end of a row is visible.
SHADES = "·░▒▓█"
_MOST_ROWS, _NARROW, _MARGIN = 12, 16, 16
_LOOK_NAME, _LOOK_COLUMNS = 24, 40


@dataclass(frozen=True, kw_only=True)
class TextRow:
    """A row of the map: its name, each layer's share of the range from floor to highest value, and the best layer.

    A share is None at a layer that was not measured. `best` is None if nothing was detected at any layer; `value` is
    the estimate there. A `note` is shown instead of both.
    """

    name: str
    shares: list[float | None]
    best: int | None
    note: str = ""
    value: float | None = None


def level_rows(view: View) -> list[TextRow]:
    """Return a row per level, for the first component, the first method and the level's first metric."""
    import polars as pl

    from layeratlas.report.parts import PartKind
    from layeratlas.runs.floors import FLOOR

    chosen = {name: view.defaults[name] for name in ("component", "method")}
    rows = []
    for part in view.of(PartKind.LEVEL):
        of_level = view.rows.filter(part=part.code, **chosen)
        metric = next((name for name in view.choices["metric"] if name in of_level["metric"]), None)
        if metric is None:
            continue
        curve = of_level.filter(metric=metric).sort("layer")
        room = (view.most[metric] - pl.col(FLOOR)).clip(0.01)
        share = ((pl.col("estimate") - pl.col(FLOOR)) / room).fill_null(0.0).fill_nan(0.0).clip(0.0, 1.0)
        shares = curve.select(share=share)["share"].to_list()
        (peak,) = view.peaks.filter(part=part.code, metric=metric, **chosen).iter_rows(named=True)
        best, value = (peak["layer"] if peak["clear"] else None), round(peak["estimate"], 4)
        rows.append(TextRow(name=part.level, shares=shares, best=best, value=value))
    return rows


def spread(layers: Sequence[int], shares: Sequence[float], count: int) -> list[float | None]:
    """Return the shares of some layers as those of all `count` layers."""
    of = dict(zip(layers, shares, strict=True))
    return [of.get(layer) for layer in range(count)]


def drawn(rows: Sequence[TextRow], width: int, most: int = _MOST_ROWS) -> list[str]:
    """Return the map in at most `width` columns, a line per row under an axis of layers; empty if it does not fit.

    There are at most `most` rows. If there are more layers than columns, each column shows the best of its layers.
    """
    names = max([_NARROW, *(len(row.name) for row in rows[:most])])
    room = width - names - _MARGIN
    if not rows or room < len(SHADES):
        return []
    layers = max(len(row.shares) for row in rows)
    columns = min(room, layers)
    lines = [f"{'layer':>{names}} 0{layers - 1:>{columns - 1}}"]
    for row in rows[:most]:
        drawn_cells = cells(row.shares, columns)
        lines.append(f"{row.name:>{names}} {drawn_cells:<{columns}} {row.note or _best(row)}")
    more = len(rows) - most
    return [*lines, *([f"{'':>{names}} and {more} more levels in the report"] if more > 0 else [])]


def _best(row: TextRow) -> str:
    if row.best is None:
        return "undetected"
    return f"best at {row.best}" if row.value is None else f"{row.value:.2f} at {row.best}"


def curve_line(name: str, values: Sequence[float], floor: float, layers: Sequence[int] = ()) -> str:
    """Return a curve as one line: its name, shades from `floor` to 1, and the highest value with its layer.

    `layers` are those of the values, by default all from 0. The line is an estimate without an interval, shown while a
    run goes; the findings follow at its end.
    """
    shares = [min(1.0, max(0.0, (value - floor) / (1 - floor))) for value in values]
    best = max(range(len(values)), key=lambda place: values[place])
    shown = name if len(name) <= _LOOK_NAME else f"{name[: _LOOK_NAME - 1]}…"
    drawn_cells = cells(shares, min(len(shares), _LOOK_COLUMNS))
    return f"{shown:>{_LOOK_NAME}} {drawn_cells} {values[best]:.2f} at layer {layers[best] if layers else best}"


def cells(shares: Sequence[float | None], columns: int) -> str:
    """Return shares from 0 to 1 as shades, a missing one as a space.

    With more shares than columns, each column shows the highest of several.
    """
    count = max(len(shares), 1)
    ends = [column * count // columns for column in range(columns + 1)] if count > columns else range(count + 1)
    highest = [max((s for s in shares[first:last] if s is not None), default=None) for first, last in pairwise(ends)]
    return "".join(" " if s is None else SHADES[min(int(s * len(SHADES)), len(SHADES) - 1)] for s in highest)
