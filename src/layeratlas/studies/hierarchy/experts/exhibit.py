"""The routers of a mixture-of-experts model: entropy by block, and which experts each level uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate, num
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.hierarchy.names import EXPERT_USE, EXPERTS


def expert_exhibits(folder: Path) -> list[Exhibit]:
    """Return the use of experts and the table of routers; empty if the run did not read the routers."""
    return table_exhibit(
        folder / EXPERTS,
        name="experts",
        title="Which experts?",
        text="Rows: the levels of text. Columns: experts, block by block. Colour: the share of the level's use "
        "that an expert has, at the position that the run reads. The table has, for each data set and block, the "
        "entropy of the router as a share of the largest possible (1: all experts equally likely), and how much of "
        "the use differs between classes.",
        chart=lambda table, colour: _chart(read_table(folder / EXPERT_USE), colour),
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Data set": row["task"],
            "Block": row["block"],
            "Entropy": estimate(row["entropy"], row["entropy_lo"], row["entropy_hi"]),
            "Differs by class": estimate(row["distance"], row["distance_lo"], row["distance_hi"]),
            "Shuffled labels": num(row["control"], 2),
            "n": row["n"],
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _chart(use: pl.DataFrame, colour: Callable[[str], str]) -> Any:
    levels = use["level"].unique(maintain_order=True).to_list()
    # Where a token uses several experts, no share reaches 1.
    shade = vega.Opacity("share:Q", scale=vega.Scale(domain=[0, use["share"].max()], range=[0.03, 1]), legend=None)
    panels = []
    for part in use.partition_by("block", maintain_order=True):
        rows = part.with_columns(pl.col("share").round(4)).to_dicts()
        cells = vega.chart(vega.Data(rows)).mark_rect(fill=colour("heat"), stroke=colour("paper"), strokeWidth=0.4)
        panels.append(
            cells.encode(
                x=vega.X("expert:O", axis=vega.Axis(title="expert", labelOverlap=True, labelAngle=0)),
                y=vega.Y("level:N", sort=levels, axis=vega.Axis(title=None, labelLimit=150)),
                opacity=shade,
                tooltip=["level:N", "block:O", "expert:O", "share:Q"],
            ).properties(width=150, height=16 * len(levels), title=f"block {part['block'][0]}")
        )
    return vega.concat(*panels, columns=4, spacing=18)
