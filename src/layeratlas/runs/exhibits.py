"""The exhibit of a table that a stage wrote: most optional stages add one chart and one table to the report."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table


def table_exhibit(
    path: Path,
    *,
    name: str,
    title: str,
    text: str,
    chart: Callable[[pl.DataFrame, Callable[[str], str]], Any],
    rows: Callable[[pl.DataFrame], pl.DataFrame],
) -> list[Exhibit]:
    """Return the exhibit of the table at `path`; empty if the run wrote no such table, or one without rows.

    `chart` takes the table and a function from a palette name to a colour; `rows` returns the table with the column
    names that the reader sees.
    """
    if not path.is_file():
        return []
    table = read_table(path)
    if table.is_empty():
        return []
    return [Exhibit(name=name, title=title, text=text, chart=partial(chart, table), table=rows(table))]
