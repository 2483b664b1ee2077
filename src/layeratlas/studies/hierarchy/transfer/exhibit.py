"""The transfer matrix: probes by the data set they are applied to, at every layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate, num
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.hierarchy.names import TRANSFER


def transfer_exhibits(folder: Path) -> list[Exhibit]:
    """Return the curves and the matrix; empty if no two data sets have the same classes."""
    return table_exhibit(
        folder / TRANSFER,
        name="transfer",
        title="Does it carry over?",
        text="Rows: the data set that a probe is fitted on. Columns: the one it is read on. Coloured: what it "
        "reads there, with 95 % intervals over the groups of the texts read; grey: what it reads on its own texts, "
        "out of fold; dashed: the cosine of the two sets' differences of class means. The table is of the layer at "
        "which "
        "the first set decodes best.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Fitted on": row["source"],
            "Read on": row["target"],
            "Layer": row["layer"],
            "Measure": row["metric"],
            "Read": estimate(row["estimate"], row["lo"], row["hi"]),
            "On its own": num(row["own"], 2),
            "Chance": num(row["chance"], 2),
            "Cosine of means": num(row["cosine"], 2),
            "Cosine of weights": num(row["weight_cosine"], 2),
            "n": row["n"],
        }
        for row in table.filter(pl.col("chosen")).iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _chart(table: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    numbers = [pl.col(name).round(4) for name in ("estimate", "lo", "hi", "own", "cosine")]
    base = vega.Chart().encode(
        x=vega.X("layer:Q", title="layer"),
        tooltip=["source:N", "target:N", "layer:Q", "estimate:Q", "own:Q", "cosine:Q"],
    )
    scale = vega.Scale(domain=[min(0.0, float(table["cosine"].to_numpy().min())), 1])
    band = base.mark_area(opacity=0.2, color=colour("series-1")).encode(
        y=vega.Y("lo:Q", scale=scale, title=None), y2="hi:Q"
    )
    read = base.mark_line(color=colour("series-1")).encode(y="estimate:Q")
    own = base.mark_line(color=colour("control"), strokeWidth=1).encode(y="own:Q")
    cosine = base.mark_line(color=colour("series-2"), strokeDash=[4, 3], strokeWidth=1.2).encode(y="cosine:Q")
    return (
        vega.layer(band, own, cosine, read)
        .properties(width=110, height=80)
        .grid(
            vega.Row("source:N", title="fitted on"),
            vega.Column("target:N", title="read on"),
            data=vega.Data(table.with_columns(numbers).to_dicts()),
        )
    )
