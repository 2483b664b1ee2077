"""The emergence exhibit: depths of emergence and their order by every definition."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.hierarchy.names import EMERGENCE

_TEXT = (
    "At which depth each level emerges in the residual stream, by five definitions, and how much deeper the next level "
    "does. Depths are those of the signal that the scores show, the squared ratio of signal to noise: accuracies "
    "saturate and depend on the number of texts. The first passes of a quarter, half and three quarters of the rise "
    "depend on single steps of a curve; the mean over 10 to 90 % of the rise has no such threshold and decides H1. "
    "Settled: from where the signal stays above half of its maximum. In brackets 95 % intervals. Each depth is "
    "corrected for its own bias; where intervals are wide, that of a quarter can lie beyond that of a half."
)


def emergence_exhibits(folder: Path) -> list[Exhibit]:
    """Return the table for the residual stream; empty if the run has no such table or no level decodes."""
    if not (folder / EMERGENCE).is_file():
        return []
    table = read_table(folder / EMERGENCE).filter(pl.col("component") == "resid")
    if table.is_empty():
        return []
    cells = table.with_columns(
        pl.struct("quantity", "estimate", "lo", "hi").map_elements(_cell, return_dtype=pl.String).alias("cell"),
        level=pl.when(pl.col("quantity") == "difference").then("difference: " + pl.col("level")).otherwise("level"),
    )
    wide = cells.pivot("definition", index="level", values="cell", maintain_order=True).fill_null("")
    return [Exhibit("emergence", "Where levels emerge", _TEXT, table=wide)]


def _cell(row: dict[str, float | str]) -> str:
    sign = "+" if row["quantity"] == "difference" else ""
    return f"{_depth(row['estimate'], sign)} [{_depth(row['lo'], sign)}, {_depth(row['hi'], sign)}]"


def _depth(value: float | str, sign: str) -> str:
    return "never" if value == float("inf") else f"{value:{sign}.2f}"
