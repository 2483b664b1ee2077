"""From tidy curves to what the charts draw: parts, peaks with their range, axis limits and default choices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from layeratlas.core import formatting as wording
from layeratlas.data.levels import LEVELS
from layeratlas.runs.study import PROBED, Words

CURVE = ["part", "component", "method", "metric"]
_Z95 = 1.959964
_COLOURS = 8


@dataclass(frozen=True)
class Part:
    """One thing that has curves: a whole level, a task of it, or a stratum of a task."""

    code: int
    kind: str
    level: str
    task: str
    stratum: str

    @property
    def row(self) -> str:
        """The name in a heat map: the level alone, or level and task."""
        return self.level if self.kind == "level" else f"{self.level} · {self.task}"

    @property
    def label(self) -> str:
        """The name above a small chart."""
        return {"level": self.level, "task": self.task, "stratum": self.stratum}[self.kind]


@dataclass(frozen=True)
class View:
    """Everything that the charts need: rows, peaks, names in reading order, limits and defaults."""

    rows: pl.DataFrame
    peaks: pl.DataFrame
    parts: list[Part]
    levels: list[str]
    choices: dict[str, list[str]]
    defaults: dict[str, str]
    limits: dict[str, list[float]]
    gains: dict[str, float]
    layers: int
    words: Words

    @property
    def shown(self) -> list[str]:
        """The levels that are drawn at first: as many as there are colours, in reading order."""
        return self.levels[:_COLOURS]

    def of(self, kind: str) -> list[Part]:
        """Return the parts of a kind, in reading order."""
        return [part for part in self.parts if part.kind == kind]


def prepare(curves: pl.DataFrame, layers: int | None = None, words: Words = PROBED) -> View:
    """Return the view of one run's curves; `layers` is the number of blocks, read from the curves if not given."""
    curves = curves.filter(pl.col("estimate").is_finite())
    levels = reading_order(curves["level"].unique(maintain_order=True).to_list(), LEVELS)
    parts = _parts(curves, levels)
    index = pl.DataFrame(
        [(p.code, p.kind, p.level, p.task, p.stratum, p.row) for p in parts],
        schema={"part": pl.Int64, **dict.fromkeys(("kind", "level", "task", "stratum", "row"), pl.String)},
        orient="row",
    )
    rows = curves.join(index, on=["level", "task", "stratum"], how="inner", maintain_order="left")
    rows = pl.concat([rows, _lone_tasks(rows, parts)]).sort(*CURVE, "layer", maintain_order=True)
    peaks = _peaks(rows)
    choices = {
        "component": reading_order(curves["component"].unique(maintain_order=True).to_list(), wording.COMPONENTS),
        "method": reading_order(curves["method"].unique(maintain_order=True).to_list(), wording.METHODS),
        "metric": reading_order(curves["metric"].unique(maintain_order=True).to_list(), wording.METRICS),
    }
    gains = rows.group_by("metric").agg((pl.col("estimate") - pl.col("control").fill_nan(None)).max().alias("gain"))
    return View(
        rows=rows,
        peaks=peaks,
        parts=parts,
        levels=levels,
        choices=choices,
        defaults={name: values[0] for name, values in choices.items()},
        limits={metric: _limits(rows.filter(metric=metric)) for metric in choices["metric"]},
        gains={metric: max(0.01, gain or 0.0) for metric, gain in gains.sort("metric").iter_rows()},
        layers=max(1, layers or _blocks(curves)),
        words=words,
    )


def reading_order(found: Sequence[str], known: Iterable[str]) -> list[str]:
    """Return the names in the order in which they are known, those of plug-ins after them as they come."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(found, key=lambda name: places.get(name, len(places)))


def _blocks(curves: pl.DataFrame) -> int:
    resid = curves.filter(component="resid")
    last: Any = resid["layer"].max() if len(resid) else curves["layer"].max()
    return int(last) + (0 if len(resid) else 1)


def _parts(curves: pl.DataFrame, levels: list[str]) -> list[Part]:
    found = curves.select("level", "task", "stratum").unique(maintain_order=True).rows()
    parts: list[tuple[str, ...]] = []
    for level in levels:
        mine = [(task, stratum) for name, task, stratum in found if name == level]
        parts.append(("level", level, "all", "all"))
        parts += [("task", level, task, "all") for task, stratum in mine if task != "all" and stratum == "all"]
        parts += [("stratum", level, task, stratum) for task, stratum in mine if stratum != "all"]
    return [Part(code, *part) for code, part in enumerate(parts)]


def _lone_tasks(rows: pl.DataFrame, parts: list[Part]) -> pl.DataFrame:
    """Return the rows of a level that has one task and no mean curve, as that level's own curve."""
    made = [rows.clear()]
    present = set(rows["part"].unique().to_list())
    for part in parts:
        tasks = [p.code for p in parts if p.kind == "task" and p.level == part.level]
        if part.kind == "level" and part.code not in present and len(tasks) == 1:
            code = pl.lit(part.code, dtype=pl.Int64).alias("part")
            values = [code, pl.lit("level").alias("kind"), pl.lit(part.row).alias("row")]
            made.append(rows.filter(part=tasks[0]).with_columns(values))
    return pl.concat(made)


def _peaks(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row per curve: its highest layer, and the run of layers around it within one standard error."""
    peaks = []
    for curve in rows.partition_by(CURVE, maintain_order=True):
        values, top = curve["estimate"].to_list(), int(curve["estimate"].arg_max() or 0)
        row = curve.row(top, named=True)
        half = (row["hi"] - row["lo"]) / (2 * _Z95) if row["hi"] is not None and row["lo"] is not None else 0.0
        floor = values[top] - (half if math.isfinite(half) else 0.0)
        first = last = top
        while first > 0 and values[first - 1] >= floor:
            first -= 1
        while last < len(values) - 1 and values[last + 1] >= floor:
            last += 1
        ends = {"first": curve["layer"][first], "last": curve["layer"][last]}
        depths = {"first_depth": curve["depth"][first], "last_depth": curve["depth"][last]}
        peaks.append({**row, **ends, **depths})
    return pl.DataFrame(peaks, infer_schema_length=None)


def _limits(rows: pl.DataFrame) -> list[float]:
    """Return axis limits on round numbers; a very bad score does not flatten the rest."""
    columns = ["estimate", "lo", "hi", "chance", "control_lo", "control_hi", "baseline"]
    values = [v for name in columns for v in rows[name].drop_nulls().to_list() if math.isfinite(v)]
    chance = [v for v in rows["chance"].drop_nulls().to_list() if math.isfinite(v)]
    high, low = max(values), min(values)
    if chance:
        low = max(low, min(chance) - 0.5 * max(high - min(chance), 0.05))
    step = 0.05 if high - low < 1 else 0.1
    top = math.ceil(round(high / step, 6)) * step
    return [round(math.floor(round(low / step, 6)) * step, 4), round(top, 4)]


def heat_rows(view: View) -> list[str]:
    """Return the rows of the heat map: each level, then its tasks where it has several."""
    rows: list[str] = []
    for level in view.levels:
        tasks = [part.row for part in view.of("task") if part.level == level]
        rows += [level, *(tasks if len(tasks) > 1 else [])]
    return rows
