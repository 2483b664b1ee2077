"""The similarity of every pair of points, as a heat map with the boundaries."""

from __future__ import annotations

from typing import Any

import polars as pl

from layeratlas.report import vega
from layeratlas.studies.segments.charts.elements import Colour, data
from layeratlas.studies.segments.record import SegmentsRecord


def similarity_chart(record: SegmentsRecord, cka: pl.DataFrame, colour: Colour) -> Any:
    """Return the heat map."""
    cells = cka.with_columns(
        pl.col("cka").round(3),
        *((pl.col(name) + 1).alias(f"{name}_end") for name in ("layer", "other")),
    )
    scale = vega.Scale(domain=[0, record.blocks + 1], nice=False)
    axis = vega.Axis(tickMinStep=1, grid=False)
    # The page's colours are CSS variables, which a Vega scale cannot interpolate, so opacity is varied instead.
    opacity = vega.Opacity(
        "cka:Q",
        title="CKA",
        scale=vega.Scale(domain=[0, 1], range=[0.02, 1], clamp=True),
        legend=vega.Legend(orient="top"),
    )
    heat = (
        vega.chart(data(cells.to_dicts()))
        .mark_rect(color=colour("heat"))
        .encode(
            x=vega.X("layer:Q", title="point", axis=axis, scale=scale),
            x2="layer_end:Q",
            y=vega.Y("other:Q", title="point", axis=axis, scale=scale),
            y2="other_end:Q",
            opacity=opacity,
            tooltip=["layer:Q", "other:Q", "cka:Q"],
        )
    )
    # A boundary at block b separates the outputs of blocks b-1 and b: the points b and b+1.
    places = data([{"at": boundary + 1} for boundary in record.boundaries])
    rule = vega.chart(places).mark_rule(color=colour("bad"), strokeWidth=1.2)
    return vega.layer(heat, rule.encode(x="at:Q"), rule.encode(y="at:Q")).properties(width=420, height=420)
