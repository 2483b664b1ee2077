"""The map of places: one panel per data set, with layers by places in the text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate, num, pvalue
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.hierarchy.names import POSITIONS

_COLUMNS = 3


def position_exhibits(folder: Path) -> list[Exhibit]:
    """Return the map; empty if the run did not measure it."""
    return table_exhibit(
        folder / POSITIONS,
        name="positions",
        title="Where in the text?",
        text="Rows: the places at which texts are read, in the order of the text. Columns: points of the residual "
        "stream. Colour: the gain over chance and shuffled labels, as a share of the most that is possible; a dot "
        "where the interval is above both. A causal model cannot decode at a place what only later words say.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Data set": row["task"],
            "Place": row["place"],
            "Best point": row["best_layer"],
            "Measure": row["metric"],
            "Best": estimate(row["best"], row["best_lo"], row["best_hi"]),
            "Chance": num(row["chance"], 2),
            "p": pvalue(row["p"]),
            "n": row["n"],
        }
        for row in table.unique(["task", "order"], maintain_order=True).sort("order").iter_rows(named=True)
    ]
    return pl.DataFrame(rows).sort("Data set", maintain_order=True)


def _chart(table: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    floor = pl.max_horizontal("chance", "control")
    shown = table.with_columns(
        gain=((pl.col("estimate") - floor) / (1 - floor)).clip(0, 1).round(3),
        clear=pl.col("lo") > pl.max_horizontal("chance", "control_hi"),
        **{name: pl.col(name).round(3) for name in ("estimate", "lo", "hi", "chance", "control")},
    )
    panels = [_panel(part, colour) for part in shown.partition_by("task", maintain_order=True)]
    return vega.concat(*panels, columns=_COLUMNS, spacing=22)


def _panel(part: pl.DataFrame, colour: Callable[[str], str]) -> vega.Chart:
    """Return the map of one data set."""
    names = part.unique("order").sort("order")["place"].to_list()
    rows = part.select("place", "layer", "gain", "clear", "estimate", "lo", "hi", "chance", "control").to_dicts()
    base = vega.chart(vega.Data(rows)).encode(
        x=vega.X("layer:O", title="point", axis=vega.Axis(title="point", labelOverlap=True, labelAngle=0)),
        y=vega.Y("place:N", sort=names, axis=vega.Axis(title=None, labelLimit=150)),
        tooltip=["place:N", "layer:O", "estimate:Q", "lo:Q", "hi:Q", "chance:Q", "control:Q"],
    )
    shade = vega.Opacity("gain:Q", scale=vega.Scale(domain=[0, 1], range=[0.03, 1]), legend=None)
    cells = base.mark_rect(fill=colour("heat"), stroke=colour("paper"), strokeWidth=0.4).encode(opacity=shade)
    dots = base.transform_filter("datum.clear").mark_circle(size=9, opacity=1, fill=colour("series-2"))
    title = vega.TitleParams(part["task"][0].replace("_", " "), limit=190, offset=4)
    return vega.layer(cells, dots).properties(width=190, height=15 * len(names), title=title)
