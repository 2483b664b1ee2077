"""The input of the charts, built from tidy curves: rows, peaks, parts, axis limits and default choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from layeratlas.report.limits import Limits, axis_limits
from layeratlas.report.names import Names, names_of, reading_order
from layeratlas.report.parts import Part, PartKind, parts_of, with_parts
from layeratlas.report.peaks import CURVE_KEY, peaks_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.floors import FLOOR, with_floor
from layeratlas.runs.study import Study
from layeratlas.runs.tables import with_controls

CHOICES = ("component", "method", "metric")
# With more levels than readers can distinguish, only a few are shown at first.
_READABLE, _FEW = 6, 4


@dataclass(frozen=True, kw_only=True)
class View:
    """Everything that the charts need.

    - `rows` and `peaks`: one row per curve and layer, and one per curve, with the columns of `parts.with_parts`; the
      column `clear` of `peaks` is false where the run tested for a peak of the level and showed none;
    - `levels`, and `choices` of component, method and metric by name: codes in reading order; `defaults` are the first;
    - `limits`: axis limits by metric (see `limits.axis_limits`); `most`: the largest possible value of each metric (1),
      or the largest observed value of an unbounded one;
    - `layers`: the number of blocks.
    """

    rows: pl.DataFrame
    peaks: pl.DataFrame
    parts: list[Part]
    levels: list[str]
    choices: dict[str, list[str]]
    limits: dict[str, Limits]
    most: dict[str, float]
    layers: int
    names: Names

    @property
    def defaults(self) -> dict[str, str]:
        """The choices that are shown at first."""
        return {name: codes[0] for name, codes in self.choices.items()}

    @property
    def shown(self) -> list[str]:
        """The levels that are shown at first, in reading order: all if there are few, otherwise the first ones."""
        return self.levels if len(self.levels) <= _READABLE else self.levels[:_FEW]

    def measured(self, control: str) -> bool:
        """Tell whether any curve of a whole level has the control in column `control`."""
        levels = self.rows.filter(pl.col("kind") == PartKind.LEVEL)
        return not levels[control].is_null().all()

    def of(self, kind: PartKind) -> list[Part]:
        """Return the parts of a kind, in reading order."""
        return [part for part in self.parts if part.kind is kind]

    def has(self, part: Part, **chosen: str) -> bool:
        """Tell whether a part has a curve for these choices."""
        return not self.peaks.filter(part=part.code, **chosen).is_empty()

    @property
    def map_rows(self) -> list[str]:
        """The rows of the map: each level, followed by its tasks if it has several."""
        rows: list[str] = []
        for level in self.levels:
            tasks = [part.row for part in self.of(PartKind.TASK) if part.level == level]
            rows += [level, *(tasks if len(tasks) > 1 else [])]
        return rows


def view_of(run: FinishedRun, study: Study | None, curves: pl.DataFrame | None = None) -> View:
    """Return the view of a run: of all its curves, or of the given ones; `study` is None if it is not installed."""
    table = run.curves if curves is None else curves
    floored = study.floored(run, table) if study else with_floor(table)
    return prepare(floored, run.blocks, names_of(run, study), run.presence(study.presence if study else ""))


def prepare(
    curves: pl.DataFrame,
    layers: int | None = None,
    names: Names | None = None,
    presence: Mapping[tuple[str, str], bool] | None = None,
) -> View:
    """Return the view of one run's curves.

    `curves` may have a column `floor` (`Study.floored`); otherwise it is that of `with_floor`. `layers` is the number
    of blocks, read from the curves if not given. `presence` tells of levels and components
    whether a peak is shown (`FinishedRun.presence`).
    """
    names = names or Names()
    curves = curves if FLOOR in curves.columns else with_floor(curves)
    curves = with_controls(curves).filter(pl.col("estimate").is_finite())
    levels = _codes(curves, "level", names)
    parts = parts_of(curves, levels)
    rows = with_parts(curves, parts).sort(*CURVE_KEY, "layer", maintain_order=True)
    choices = {name: _codes(curves, name, names) for name in CHOICES}
    return View(
        rows=rows,
        peaks=_cleared(peaks_of(rows), presence or {}),
        parts=parts,
        levels=levels,
        choices=choices,
        limits={metric: axis_limits(rows.filter(metric=metric)) for metric in choices["metric"]},
        most=_most(rows),
        layers=max(1, layers or _blocks(curves)),
        names=names,
    )


def _cleared(peaks: pl.DataFrame, presence: Mapping[tuple[str, str], bool]) -> pl.DataFrame:
    """Add `clear`: whether a peak is shown, and the curve exceeds its floor there (a curve of zeros peaks nowhere)."""
    places = peaks.select("level", "component").iter_rows()
    shown = pl.Series([presence.get(place, True) for place in places], dtype=pl.Boolean)
    return peaks.with_columns(clear=shown & (pl.col("estimate") > pl.col(FLOOR)).fill_null(value=True))


def _codes(curves: pl.DataFrame, column: str, names: Names) -> list[str]:
    codes = curves[column].unique(maintain_order=True).to_list()
    return reading_order(codes, names.by_kind()[column])


def _most(rows: pl.DataFrame) -> dict[str, float]:
    tops = rows.group_by("metric").agg(top=pl.col("estimate").max()).sort("metric")
    return {metric: max(1.0, top) for metric, top in tops.iter_rows()}


def _blocks(curves: pl.DataFrame) -> int:
    """Return the number of blocks implied by the layers: L for L+1 points of the stream or for L blocks."""
    resid = curves.filter(component="resid")
    last: Any = resid["layer"].max() if len(resid) else curves["layer"].max()
    return int(last) + (0 if len(resid) else 1)
