"""The decoded information on nearby tokens over depth, as small multiples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.formatting import estimate, num
from layeratlas.report import vega
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.segments.charts.elements import DEPTH, Colour, data
from layeratlas.studies.segments.names import INFORMATION_FILE


def information_exhibits(folder: Path) -> list[Exhibit]:
    """Return the bounds over depth and their table; empty if nearby tokens were not decoded."""
    return table_exhibit(
        folder / INFORMATION_FILE,
        name="information",
        title="What each layer keeps of the input and knows of the next token",
        text="Lower bounds of the mutual information (nats) between the residual stream and the token so far "
        "before, the next token, and the model's own prediction, by decoding passages that were held out; 95 % "
        "intervals over passages. Tokens are put in 16 classes, the 15 commonest and all others. Dashed grey: the "
        "same architecture with random weights. Dotted: the token at the same place of another passage, of which "
        "0 or less is decoded. A bound says what a linear decoder reads, and does not exclude more.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    last = int(table["layer"].max())  # type: ignore[arg-type]
    shown = sorted({0, *(round(last * part / 6) for part in range(1, 7))})
    rows = [
        {
            "Target": row["target"],
            "Layer": row["layer"],
            "Nats": estimate(row["nats"], row["lo"], row["hi"]),
            "Random weights": num(row["random_weights"], 2),
            "Another passage": num(row["control"], 2),
            "n": row["n"],
        }
        for row in table.filter(pl.col("layer").is_in(shown)).iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _chart(table: pl.DataFrame, colour: Colour) -> Any:
    targets = table["target"].unique(maintain_order=True).to_list()
    charts = [_target(table.filter(target=target), target, colour) for target in targets]
    return vega.concat(*charts, columns=4, spacing=14)


def _target(rows: pl.DataFrame, target: str, colour: Colour) -> Any:
    columns = ["depth", "nats", "lo", "hi", "control", "random_weights"]
    base = vega.chart(data(rows.select(pl.col(columns).round_sig_figs(5).fill_nan(None)).to_dicts()))
    x = vega.X("depth:Q", title=None, scale=DEPTH, axis=vega.Axis(values=[0, 0.5, 1]))
    hue, grey = colour("series-1"), colour("control")
    layers = [
        base.mark_area(color=hue, opacity=0.25).encode(x=x, y=vega.Y("lo:Q", title=None), y2="hi:Q"),
        base.mark_line(color=hue, strokeWidth=1.8).encode(x=x, y=vega.Y("nats:Q", title=None)),
        base.mark_line(color=colour("soft"), strokeDash=[1, 2]).encode(x=x, y="control:Q"),
    ]
    if rows["random_weights"].is_finite().any():
        dashed = base.mark_line(color=grey, strokeDash=[4, 3], strokeWidth=1.2)
        layers.append(dashed.encode(x=x, y="random_weights:Q"))
    title = "the token itself" if target == "token 0 before" else target
    return vega.layer(*layers).properties(width=160, height=110, title=vega.TitleParams(title, fontSize=11))
