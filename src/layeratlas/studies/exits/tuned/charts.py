"""The tuned exits next to the model's own: accuracy by exit, and the table with held-out losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.names import TUNED_FILE

Colour = Callable[[str], str]


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the chart and the table; empty for a run without tuned exits."""
    return table_exhibit(
        folder / TUNED_FILE,
        name="tuned",
        title="Cannot answer, or uses another basis?",
        text="Accuracy on the same questions at each exit, by the model's own readout and through a translator: an "
        "affine map to the last layer's basis. An exit that answers only through its translator uses another "
        "basis; an exit whose translator reaches less than half of the last exit's gain over chance cannot answer. "
        "Divergence: KL from the model's own prediction, in nats, on passages held out from fitting.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Ability": row["level"],
            "Exit": row["exit"],
            "Own": row["own"],
            "Tuned": row["tuned"],
            "Gain": estimate(row["gain"], row["lo"], row["hi"]),
            "p": row["p"],
            "Divergence, own": row["divergence_own"],
            "Divergence, tuned": row["divergence_tuned"],
            "Says": row["says"],
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _chart(table: pl.DataFrame, colour: Colour) -> Any:
    """Return the chart: accuracy by exit for each ability, and below it the divergence from the model's prediction."""
    hues = vega.Scale(domain=["own", "tuned"], range=[colour("control"), colour("series-2")])
    key = vega.Color("readout:N", scale=hues, title="readout", sort=None)
    x = vega.X("exit:Q", title="exit")
    chart = (
        vega.Chart()
        .mark_line(point=True)
        .encode(
            x=x,
            y=vega.Y("accuracy:Q", scale=vega.Scale(domain=[0, 1])),
            color=key,
            tooltip=["level:N", "exit:Q", "readout:N", "accuracy:Q"],
        )
        .properties(width=190, height=110)
    )
    first = table.unique("exit", maintain_order=True).sort("exit")
    divergence = first.select("exit", own="divergence_own", tuned="divergence_tuned")
    below = vega.chart(vega.Data(_long(divergence, ["exit"], "divergence"))).mark_line(point=True)
    below = below.encode(
        x=x,
        y=vega.Y(
            "divergence:Q", scale=vega.Scale(type="log"), axis=vega.Axis(title="KL, nats", tickCount=4, grid=False)
        ),
        color=key,
        tooltip=["exit:Q", "readout:N", "divergence:Q"],
    ).properties(width=190, height=110, title="held-out passages")
    by = vega.Facet("level:N", title=None, sort=table["level"].unique(maintain_order=True).to_list())
    rows = _long(table.select("level", "exit", "own", "tuned"), ["level", "exit"], "accuracy")
    return vega.vconcat(chart.facet(by, data=vega.Data(rows), columns=3), below, spacing=18)


def _long(table: pl.DataFrame, index: list[str], name: str) -> list[dict[str, Any]]:
    """Return one row per readout, rounded to what a chart can show."""
    long = table.unpivot(index=index, variable_name="readout", value_name=name)
    return long.with_columns(pl.col(name).round(4)).to_dicts()
