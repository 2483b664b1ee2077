"""The map: levels and their tasks by depth."""

from __future__ import annotations

import json
from typing import Any

from layeratlas.report import vega
from layeratlas.report.lens import DEPTHS, Lens, source, tips
from layeratlas.report.marks import finish
from layeratlas.report.view import CHOICES

_ROW = 22


def heat(look: Lens, width: Any = 640) -> vega.Chart:
    """Return the map of levels and their tasks by depth; shades from an estimate's floor to the highest possible value.

    The shade is a share, so rows with two and with six classes are equally dark if both decode perfectly.
    """
    scope = look.where(*CHOICES, also="datum.row !== null")
    half = 0.5 / look.view.layers
    most = "most[metric]" if look.live else str(look.view.most[look.chosen["metric"]])
    cells = source("curves", scope).transform_calculate(
        gain=f"max(0, datum.estimate - datum.floor) / max(0.01, {most} - datum.floor)",
        left=f"datum.depth - {half}",
        right=f"datum.depth + {half}",
    )
    x = vega.X(
        "left:Q",
        scale=vega.Scale(domain=[-half, 1 + half], nice=False),
        axis=vega.Axis(title="relative depth", values=DEPTHS, format=".1f", domain=False),
    )
    y = vega.Y("row:N", sort=look.view.map_rows, axis=_row_axis(look))
    rects = tips(look, cells, "row", "Task").mark_rect(
        fill=look.colour("heat"), stroke=look.colour("paper"), strokeWidth=1
    )
    dots = source("peaks", f"{scope} && datum.clear").mark_circle(
        size=38, opacity=1, fill=look.colour("series-2"), stroke=look.colour("paper"), strokeWidth=1.2
    )
    chart = vega.layer(rects.encode(x=x, x2="right:Q", y=y, opacity=_shade(look)), dots.encode(x="depth:Q", y=y))
    return finish(look, chart.properties(width=width, height=_ROW * len(look.view.map_rows)), shown=look.view.shown)


def _row_axis(look: Lens) -> vega.Spec:
    """Return the axis of the rows, levels in bold."""
    level = {"test": f"indexof({json.dumps(look.view.levels)}, datum.value) >= 0", "value": "bold"}
    weight = {"condition": level, "value": "normal"}
    return vega.Axis(title=None, domain=False, ticks=False, labelLimit=150, labelFontWeight=weight)


def _shade(look: Lens) -> vega.Spec:
    """Return the encoding of a cell's shade, on one scale for all rows, with its legend."""
    legend = vega.Legend(
        title=None if look.live else f"From the floor ({look.view.names.study.floor}) to the highest possible value",
        orient="bottom",
        direction="horizontal",
        symbolType="square",
        symbolSize=170,
        symbolStrokeWidth=0,
        symbolFillColor=look.colour("heat"),
        format=".0%",
        values=[0, 0.5, 1],  # as many as fit beside the names of the rows on a phone
        columnPadding=12,
        titleLimit=620,
    )
    return vega.Opacity("gain:Q", scale=vega.Scale(domain=[0, 1], range=[0.04, 1], clamp=True), legend=legend)
