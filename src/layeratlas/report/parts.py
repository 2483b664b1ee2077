"""The parts of a run with curves: whole levels, their tasks, and strata of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

ALL = "all"  # in the columns `task` and `stratum`: the whole level, or the whole task


class PartKind(StrEnum):
    """What a part covers."""

    LEVEL = "level"
    TASK = "task"
    STRATUM = "stratum"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A whole level, a task of it, or a stratum of a task; `code` is its number in the report."""

    code: int
    kind: PartKind
    level: str
    task: str
    stratum: str

    @property
    def row(self) -> str:
        """The name in the map: the level alone, or level and task."""
        return self.level if self.kind is PartKind.LEVEL else f"{self.level} · {self.task}"

    @property
    def label(self) -> str:
        """The name above a small chart."""
        return {PartKind.LEVEL: self.level, PartKind.TASK: self.task, PartKind.STRATUM: self.stratum}[self.kind]


def parts_of(curves: pl.DataFrame, levels: Sequence[str]) -> list[Part]:
    """Return the parts, level by level: the level itself, then its tasks, then the strata of its tasks."""
    keys = curves.select("level", "task", "stratum").unique(maintain_order=True).rows()
    ordered: list[tuple[PartKind, str, str, str]] = []
    for level in levels:
        inside = [(task, stratum) for name, task, stratum in keys if name == level]
        ordered.append((PartKind.LEVEL, level, ALL, ALL))
        ordered += [(PartKind.TASK, level, task, ALL) for task, stratum in inside if task != ALL and stratum == ALL]
        ordered += [(PartKind.STRATUM, level, task, stratum) for task, stratum in inside if stratum != ALL]
    return [
        Part(code=code, kind=kind, level=level, task=task, stratum=stratum)
        for code, (kind, level, task, stratum) in enumerate(ordered)
    ]


def with_parts(curves: pl.DataFrame, parts: Sequence[Part]) -> pl.DataFrame:
    """Return the curves with the columns `part`, `kind` and `row` of their part.

    For a level with a single task and no mean curve, the task's curves are repeated as those of the level.
    """
    index = pl.DataFrame(
        {
            "part": [part.code for part in parts],
            "kind": [part.kind.value for part in parts],
            "level": [part.level for part in parts],
            "task": [part.task for part in parts],
            "stratum": [part.stratum for part in parts],
            "row": [part.row for part in parts],
        }
    )
    rows = curves.join(index, on=["level", "task", "stratum"], how="inner", maintain_order="left")
    return pl.concat([rows, *_single_tasks(rows, parts)])


def _single_tasks(rows: pl.DataFrame, parts: Sequence[Part]) -> list[pl.DataFrame]:
    """Return the rows of single tasks as rows of their levels, for levels without rows."""
    copies = []
    present = set(rows["part"].unique().to_list())
    for level in parts:
        tasks = [part.code for part in parts if part.kind is PartKind.TASK and part.level == level.level]
        if level.kind is PartKind.LEVEL and level.code not in present and len(tasks) == 1:
            code = pl.lit(level.code, dtype=pl.Int64).alias("part")
            values = [code, pl.lit(level.kind.value).alias("kind"), pl.lit(level.row).alias("row")]
            copies.append(rows.filter(part=tasks[0]).with_columns(values))
    return copies
