"""The charts of a causal run: a map of what is encoded and used, and every loss with its controls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.files import read_json
from layeratlas.core.formatting import NONE, estimate, num
from layeratlas.report import vega
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.quantity import UNUSED, USED
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.causal.marks import marks_of, used_share
from layeratlas.studies.causal.names import TABLE_FILE

Colour = Callable[[str], str]
_UNDECIDED = "not decided"
_LOSSES = {
    "loss_erase": "erased",
    "loss_random": "random",
    "loss_shuffled": "shuffled labels",
    "loss_other": "another task",
}


def exhibits(folder: Path) -> list[Exhibit]:
    """Return the map, the losses and the table of a run."""
    table = read_table(folder / TABLE_FILE)
    levels = read_json(folder / "run.json").get("words", {}).get("levels", {})
    marked = {(mark.level, mark.layer): mark.meaning for mark in marks_of(FinishedRun(folder))}
    use = [marked.get(place, _UNDECIDED) for place in table.select("level", "point").iter_rows()]
    table = table.with_columns(pl.col("level").replace(levels), use=pl.Series(use, dtype=pl.String))
    return [
        Exhibit(
            name="encoded-used",
            title="Encoded, and used?",
            text="Square: a linear probe reads the label at this point of the residual stream; the darker, the "
            "further its accuracy is above chance. No square: no probe is shown to read it. Dot: the answers need "
            "the label there; its size is the share of the log-odds that erasure removes beyond directions of "
            "equal norm. Square with a cross: encoded, and a loss large enough to matter is ruled out.",
            chart=partial(_map, table),
        ),
        Exhibit(
            name="losses",
            title="What erasing costs",
            text="Mean drop in the log-odds of the right answer (nats) at each point, after erasing the label, "
            "and after controls that move the stream equally far: random directions, erasers of shuffled labels, and "
            "the eraser of another task.",
            chart=partial(_losses, table),
        ),
        Exhibit(
            name="causal",
            title="Every point",
            text="Losses in nats of log-odds of the right answer; positive numbers lower it, and steering leads to "
            "another class. Left: the accuracy of a probe after erasure. p: exact sign flips of groups, Holm over "
            "points. Used and steered are the verdicts of single points; the findings are corrected over the report "
            "too.",
            table=_table(table),
        ),
    ]


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Level": row["level"],
            "Point": row["point"],
            "Accuracy": num(row["accuracy"], 2),
            "Chance": num(row["chance"], 2),
            "Left": num(row["accuracy_left"], 2) if row["encoded"] == "supported" else NONE,
            "Encoded": row["encoded"],
            "Clean": num(row["clean"], 2),
            **{name.capitalize(): num(row[column], 2) for column, name in _LOSSES.items()},
            "Used by": estimate(row["used_by"], row["used_lo"], row["used_hi"]),
            "p": row["used_p"],
            "Used": row["used"],
            "Lowered by steering": estimate(row["steered_by"], row["steered_lo"], row["steered_hi"]),
            "Steered": row["steered"],
            "n": row["n"],
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _values(table: pl.DataFrame) -> list[dict[str, Any]]:
    values = []
    for row in table.iter_rows(named=True):
        values.append(
            {
                "level": row["level"],
                "point": row["point"],
                "accuracy": round(row["accuracy"], 3),
                "gain": round((row["accuracy"] - row["chance"]) / (1 - row["chance"]), 3),
                "encoded": row["encoded"] == "supported",
                "share": round(100 * used_share(row["used_by"], row["clean"]), 1),
                "loss": round(row["used_by"], 3),
                "use": row["use"],
            }
        )
    return values


def _map(table: pl.DataFrame, colour: Colour) -> Any:
    base = vega.chart(vega.Data(_values(table))).encode(
        x=vega.X("point:O", title="point of the stream", axis=vega.Axis(labelAngle=0)),
        y=vega.Y("level:N", title=None, sort=None, axis=vega.Axis(labelLimit=170)),
        tooltip=["level:N", "point:O", "accuracy:Q", "loss:Q", "share:Q", "use:N"],
    )
    shade = vega.Scale(domain=[0, 1], range=[0.05, 0.8], clamp=True)
    key = vega.Legend(
        format=".1f", tickCount=3, symbolType="square", symbolFillColor=colour("heat"), symbolStrokeWidth=0
    )
    cells = (
        base.transform_filter("datum.encoded")
        .mark_rect(fill=colour("heat"), stroke=colour("paper"))
        .encode(opacity=vega.Opacity("gain:Q", scale=shade, title="encoded", legend=key))
    )
    # In percent, because Vega merges two legends with the same domain.
    size = vega.Scale(domain=[0, 100], range=[30, 420], clamp=True)
    dots = (
        base.transform_filter(f"datum.use === '{USED}'")
        .mark_circle(fill=colour("series-2"), stroke=colour("paper"), strokeWidth=1, opacity=1)
        .encode(
            size=vega.Size(
                "share:Q",
                scale=size,
                title="used (%)",
                legend=vega.Legend(format=".0f", tickCount=3, symbolFillColor=colour("series-2"), symbolStrokeWidth=0),
            )
        )
    )
    crosses = base.transform_filter(f"datum.use === '{UNUSED}'").mark_point(
        shape="cross", angle=45, size=70, filled=True, fill=colour("soft"), stroke=colour("paper"), strokeWidth=0.5
    )
    return vega.layer(cells, dots, crosses).properties(width=380, height=vega.Step(34), usermeta={"aside": 330})


def _losses(table: pl.DataFrame, colour: Colour) -> Any:
    long = table.select("level", "point", *_LOSSES).unpivot(index=["level", "point"], variable_name="edit")
    long = long.with_columns(pl.col("edit").replace(_LOSSES), pl.col("value").round(4))
    hues = vega.Scale(
        domain=list(_LOSSES.values()),
        range=[colour("series-2"), colour("control"), colour("series-1"), colour("series-4")],
    )
    chart = (
        vega.Chart()
        .mark_line(point=True)
        .encode(
            x=vega.X("point:Q", title="point of the stream"),
            y=vega.Y("value:Q", title="loss (nats)"),
            color=vega.Color("edit:N", scale=hues, title="direction", sort=None),
            tooltip=["level:N", "point:Q", "edit:N", "value:Q"],
        )
        .properties(width=190, height=110)
    )
    by = vega.Facet("level:N", title=None, sort=table["level"].unique(maintain_order=True).to_list())
    return chart.facet(by, data=vega.Data(long.to_dicts()), columns=3).resolve_scale(y="independent")
