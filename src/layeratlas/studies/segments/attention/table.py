"""The mean attention distance and entropy of every kind of text by layer, and their chart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.core.formatting import estimate
from layeratlas.report import vega
from layeratlas.report.theme import SERIES
from layeratlas.runs.exhibits import table_exhibit
from layeratlas.runs.study import Exhibit
from layeratlas.studies.segments.attention.findings import SIGNALS, Kinds
from layeratlas.studies.segments.charts.elements import DEPTH, Colour, data
from layeratlas.studies.segments.names import ATTENTION_FILE, readable
from layeratlas.studies.segments.tables import mean_band


def attention_table(measured: Mapping[str, Floats], kinds: Kinds, seed: int) -> pl.DataFrame:
    """Return one row per signal, kind and block: the mean over passages with its 95 % interval."""
    rows = []
    for name in filter(measured.__contains__, SIGNALS):
        for code, kind in enumerate(kinds.names):
            values = measured[name][kinds.codes == code]
            band = mean_band(values, seed)
            blocks = values.shape[1]
            rows += [
                {
                    "signal": name,
                    "kind": kind,
                    "layer": layer,
                    "depth": (layer + 1) / blocks,
                    "estimate": band.value[layer],
                    "lo": band.lo[layer],
                    "hi": band.hi[layer],
                    "n": len(values),
                }
                for layer in range(blocks)
            ]
    return pl.DataFrame(rows)


def attention_exhibits(folder: Path) -> list[Exhibit]:
    """Return the chart and the table of a run; empty if it has one kind of text."""
    return table_exhibit(
        folder / ATTENTION_FILE,
        name="attention",
        title="Attention by kind of text",
        text="Mean over heads and positions of each block, as a share of uniform attention; bands: 95 % intervals over "
        "the passages of a kind. All passages have as many tokens, but a token is not as much text in every language.",
        chart=_chart,
        rows=_table,
    )


def _table(table: pl.DataFrame) -> pl.DataFrame:
    last = int(table["layer"].max())  # type: ignore[arg-type]
    shown = sorted({round(last * part / 6) for part in range(7)})
    rows = [
        {
            "Signal": readable(row["signal"]),
            "Kind": row["kind"],
            "Block": row["layer"],
            "Share of uniform": estimate(row["estimate"], row["lo"], row["hi"], 3),
            "n": row["n"],
        }
        for row in table.filter(pl.col("layer").is_in(shown)).iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _chart(table: pl.DataFrame, colour: Colour) -> Any:
    kinds = table["kind"].unique(maintain_order=True).to_list()
    hues = [colour(SERIES[number % len(SERIES)]) for number in range(len(kinds))]
    scale = vega.Scale(domain=kinds, range=hues)
    charts = [
        _signal(table.filter(signal=name), readable(name), scale)
        for name in table["signal"].unique(maintain_order=True).to_list()
    ]
    return vega.concat(*charts, columns=2, spacing=24)


def _signal(rows: pl.DataFrame, title: str, scale: Any) -> Any:
    columns = ["kind", "depth", "estimate", "lo", "hi"]
    rounded = rows.select(columns).with_columns(pl.col(columns[1:]).round_sig_figs(5))
    base = vega.chart(data(rounded.to_dicts()))
    x = vega.X("depth:Q", title="Depth", scale=DEPTH, axis=vega.Axis(values=[0, 0.5, 1]))
    colour = vega.Color("kind:N", title=None, scale=scale)
    return vega.layer(
        base.mark_area(opacity=0.15).encode(x=x, y=vega.Y("lo:Q", title=None), y2="hi:Q", color=colour),
        base.mark_line(strokeWidth=1.8).encode(x=x, y=vega.Y("estimate:Q", title=None), color=colour),
    ).properties(width=330, height=200, title=vega.TitleParams(title, fontSize=11))
