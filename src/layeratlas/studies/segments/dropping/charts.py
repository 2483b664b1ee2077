"""The loss curves of dropping blocks, by order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.edits import blocks_named
from layeratlas.core.formatting import estimate, num
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.segments.charts.elements import Colour, data
from layeratlas.studies.segments.dropping.orders import INFLUENCE, MEASURED, RANDOM
from layeratlas.studies.segments.names import DROPPED_FILE

_HUES = {INFLUENCE: "series-1", MEASURED: "series-2", RANDOM: "control"}


def drop_exhibits(folder: Path) -> list[Exhibit]:
    """Return the loss curves and their table; empty if no blocks were dropped."""
    return table_exhibit(
        folder / DROPPED_FILE,
        name="dropping",
        title="Which blocks can be dropped?",
        text="Rise of the loss (nats per token) as more blocks are left out, in three kinds of order: least block "
        "influence first (1 - cosine of input and output), least measured cost first (the cost of leaving out that "
        "block alone, on the other half of the passages), and random; 95 % intervals over passages.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Order": row["rule"],
            "Blocks dropped": row["count"],
            "Rise of the loss": estimate(row["nll"], row["nll_lo"], row["nll_hi"]),
            "Divergence": estimate(row["kl"], row["kl_lo"], row["kl_hi"]),
            "Changed predictions": num(row["flips"], 2),
            "Which": blocks_named(sorted(row["blocks"])) if row["blocks"] else "",
            "n": row["n"],
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _chart(table: pl.DataFrame, colour: Colour) -> Any:
    rules = table["rule"].unique(maintain_order=True).to_list()
    hues = vega.Scale(domain=rules, range=[colour(_HUES[rule]) for rule in rules])
    hue = vega.Color("rule:N", title="order", sort=None, scale=hues)
    base = vega.chart(data(table.drop("blocks").to_dicts())).encode(
        x=vega.X("count:Q", title="blocks dropped"), color=hue
    )
    band = base.mark_area(opacity=0.18).encode(
        y=vega.Y("nll_lo:Q", title="rise of the loss (nats)"), y2="nll_hi:Q", fill=hue, stroke=vega.value(None)
    )
    line = base.mark_line(point=True).encode(y="nll:Q", tooltip=["rule:N", "count:Q", "nll:Q", "nll_lo:Q", "nll_hi:Q"])
    return vega.layer(band, line).properties(width=520, height=240)
