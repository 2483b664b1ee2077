"""The map of models: the levels of each by relative depth, with peaks, marks and segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.comparison.charts import rows_of, tips
from layeratlas.comparison.rows import MARK
from layeratlas.report import theme, vega
from layeratlas.runs.quantity import UNUSED, USED

# The height of a row of the map with many rows, and with few.
_ROW, _TALL_ROW, _MANY = 14, 22, 24
_SEGMENT_COLOURS = ("series-3", "series-5", "series-7", "series-4", "series-6", "series-8")


def atlas(order: Sequence[str], segments: Sequence[str], live: bool, width: Any = 640) -> vega.Chart:
    """Return the map of each model's levels by depth, on a shared axis; reads `atlas`, `segments`,
    `peaks` and `marks`.

    `order` are the row names, model and level separated by MARK; a model's own row comes before those of its levels.
    `segments` are the names of segments.
    """
    y = vega.Y("row:N", sort=list(order), scale=vega.Scale(domain=list(order), paddingInner=0), axis=_row_axis(live))
    left = vega.X(
        "left:Q",
        scale=vega.Scale(domain=[-0.02, 1.02], nice=False),
        axis=vega.Axis(title="relative depth", values=[0, 0.2, 0.4, 0.6, 0.8, 1], format=".1f", domain=False),
    )
    paper = theme.colour("paper", live)
    tops = rows_of("peaks").mark_circle(size=26, opacity=1, fill=theme.colour("series-2", live), stroke=paper)
    row = _ROW if len(order) > _MANY else _TALL_ROW
    layers = [
        _cells(left, y, live),
        tops.encode(x="depth:Q", y=y),
        *_marks(y, live),
        _segment_bars(left, y, segments, live),
    ]
    return vega.layer(*layers).properties(width=width, height=row * max(len(order), 1))


def _row_axis(live: bool) -> vega.Spec:
    """Return the axis of the map's rows: models in bold, their levels without the model's name."""
    model = f"indexof(datum.value, '{MARK}') < 0"
    ink, soft = theme.colour("ink", live), theme.colour("soft", live)
    return vega.Axis(
        title=None,
        domain=False,
        ticks=False,
        grid=False,
        labelLimit=230,
        labelOverlap=False,
        labelExpr=f"{model} ? datum.value : split(datum.value, '{MARK}')[1]",
        labelFontWeight={"condition": {"test": model, "value": "bold"}, "value": "normal"},
        labelColor={"condition": {"test": model, "value": ink}, "value": soft},
    )


def _cells(left: vega.Spec, y: vega.Spec, live: bool) -> vega.Chart:
    """Return the cells of the map; in the page each cell links to its curve."""
    heat, paper = theme.colour("heat", live), theme.colour("paper", live)
    cells = rows_of("atlas").mark_rect(fill=heat, stroke=paper, strokeWidth=0.4, cursor="pointer")
    shade = vega.Opacity("shade:Q", scale=vega.Scale(domain=[0, 1], range=[0.04, 1]), legend=None)
    link = {"href": vega.Href("url:N")} if live else {}
    return cells.encode(x=left, x2="right:Q", y=y, opacity=shade, tooltip=tips(vega.Tooltip("entry:N")), **link)


def _marks(y: vega.Spec, live: bool) -> list[vega.Chart]:
    """Return a dot where a level is used, larger for a larger share, and a cross where it is shown not to be."""
    paper = theme.colour("paper", live)
    base = rows_of("marks").encode(
        x="depth:Q", y=y, tooltip=["model:N", "entry:N", "layer:Q", "meaning:N", vega.Tooltip("size:Q", format=".2f")]
    )
    size = vega.Size("size:Q", scale=vega.Scale(domain=[0, 1], range=[20, 150], clamp=True), legend=None)
    used = base.transform_filter(f"datum.meaning === '{USED}'").mark_circle(
        fill=theme.colour("series-2", live), stroke=paper, strokeWidth=1, opacity=1
    )
    unused = base.transform_filter(f"datum.meaning === '{UNUSED}'").mark_point(
        shape="cross",
        angle=45,
        size=45,
        filled=True,
        fill=theme.colour("soft", live),
        stroke=paper,
        strokeWidth=1,
        opacity=1,
    )
    return [used.encode(size=size), unused]


def _segment_bars(left: vega.Spec, y: vega.Spec, segments: Sequence[str], live: bool) -> vega.Chart:
    hues = [theme.colour(_SEGMENT_COLOURS[i % len(_SEGMENT_COLOURS)], live) for i in range(len(segments))]
    fill = vega.Fill("segment:N", scale=vega.Scale(domain=list(segments), range=hues), legend=None)
    bars = rows_of("segments").mark_rect(stroke=theme.colour("paper", live), strokeWidth=1, height=_ROW - 5)
    return bars.encode(x=left, x2="right:Q", y=y, fill=fill, tooltip=["model:N", "segment:N", "left:Q", "right:Q"])
