"""The charts of a comparison, each on named rows: interactive in the page, static in a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.comparison.rows import MARK
from layeratlas.report import theme, vega
from layeratlas.report.lens import depth
from layeratlas.runs.quantity import UNUSED, USED

# The height of a row of the map with many rows, and with few.
_ROW, _TALL_ROW, _MANY = 14, 22, 24
_SEGMENT_COLOURS = ("series-3", "series-5", "series-7", "series-4", "series-6", "series-8")


def _models(names: Sequence[str], live: bool, kind: Any = vega.Color) -> Any:
    """Return the encoding of a model: a colour; beyond eight models colours repeat and dashes distinguish them."""
    hues = theme.series(live)
    scale = vega.Scale(domain=list(names), range=[hues[i % len(hues)] for i in range(len(names))])
    return kind("model:N", scale=scale, legend=None)


def _dash(names: Sequence[str]) -> vega.Spec:
    dashes = [theme.DASHES[(i // len(theme.SERIES)) % len(theme.DASHES)] for i in range(len(names))]
    return vega.StrokeDash("model:N", scale=vega.Scale(domain=list(names), range=dashes), legend=None)


def _rows(name: str) -> vega.Chart:
    return vega.chart(vega.NamedData(name))


def _tips(*more: Any) -> list[Any]:
    return [
        vega.Tooltip("model:N", title="Model"),
        *more,
        vega.Tooltip("layer:Q", title="Layer"),
        vega.Tooltip("depth:Q", title="Relative depth", format=".2f"),
        vega.Tooltip("estimate:Q", title="Estimate", format=".3f"),
        vega.Tooltip("lo:Q", title="95 % from", format=".3f"),
        vega.Tooltip("hi:Q", title="95 % to", format=".3f"),
        vega.Tooltip("chance:Q", title="Chance", format=".3f"),
    ]


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
    tops = _rows("peaks").mark_circle(size=26, opacity=1, fill=theme.colour("series-2", live), stroke=paper)
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
    cells = _rows("atlas").mark_rect(fill=heat, stroke=paper, strokeWidth=0.4, cursor="pointer")
    shade = vega.Opacity("shade:Q", scale=vega.Scale(domain=[0, 1], range=[0.04, 1]), legend=None)
    link = {"href": vega.Href("url:N")} if live else {}
    return cells.encode(x=left, x2="right:Q", y=y, opacity=shade, tooltip=_tips(vega.Tooltip("entry:N")), **link)


def _marks(y: vega.Spec, live: bool) -> list[vega.Chart]:
    """Return a dot where a level is used, larger for a larger share, and a cross where it is shown not to be."""
    paper = theme.colour("paper", live)
    base = _rows("marks").encode(
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
    bars = _rows("segments").mark_rect(stroke=theme.colour("paper", live), strokeWidth=1, height=_ROW - 5)
    return bars.encode(x=left, x2="right:Q", y=y, fill=fill, tooltip=["model:N", "segment:N", "left:Q", "right:Q"])


def curves(names: Sequence[str], live: bool, width: Any = 250, height: int = 150) -> vega.Chart:
    """Return one level's curves of all models over relative depth; reads `curves`."""
    base = _rows("curves")
    colour = _models(names, live)
    scale = vega.Scale(zero=False, nice=True)
    y = {"scale": scale, "axis": vega.Axis(title=None, tickCount=4, minExtent=34, format="~g")}
    grey = theme.colour("control", live)
    chance = base.transform_aggregate(chance="mean(chance)").transform_filter("isValid(datum.chance)")
    rule = chance.mark_rule(color=grey, strokeDash=[4, 3]).encode(y=vega.Y("chance:Q", **y))
    band = base.mark_area(opacity=0.12).encode(x=depth(), y=vega.Y("lo:Q", **y), y2="hi:Q", color=colour)
    line = base.mark_line(strokeWidth=1.7).encode(
        x=depth(), y=vega.Y("estimate:Q", **y), color=colour, strokeDash=_dash(names)
    )
    layers = [rule, band, line]
    if live:
        hover = vega.selection_point(
            name="hover", on="pointerover", clear="pointerout", nearest=True, fields=["layer", "model"]
        )
        seen = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
        points = base.mark_circle(size=46, stroke=theme.colour("paper", live)).encode(
            x=depth(), y=vega.Y("estimate:Q", **y), fill=_models(names, live, vega.Fill), opacity=seen, tooltip=_tips()
        )
        layers.append(points.add_params(hover))
    return vega.layer(*layers).properties(width=width, height=height)


def peaks(names: Sequence[str], entries: Sequence[str], live: bool, width: Any = 640) -> vega.Chart:
    """Return the peak's depth of every level and model with its interval; reads `places`."""
    y = vega.Y("level:N", sort=list(entries), axis=vega.Axis(title=None, domain=False, ticks=False, labelLimit=230))
    base = _rows("places").encode(y=y, yOffset=vega.YOffset("model:N", sort=list(names)), color=_models(names, live))
    rule = base.mark_rule(strokeWidth=2, opacity=0.5, clip=True).encode(x=depth("lo"), x2="hi:Q")
    tips = [
        vega.Tooltip("model:N", title="Model"),
        vega.Tooltip("level:N", title="Level"),
        *(
            vega.Tooltip(f"{n}:Q", title=t, format=".2f")
            for n, t in (("estimate", "Depth"), ("lo", "From"), ("hi", "To"))
        ),
    ]
    dot = base.mark_circle(size=46, opacity=1).encode(x=depth("estimate"), tooltip=tips)
    return vega.layer(rule, dot).properties(width=width, height=len(entries) * max(24, 11 * len(names) + 6))


def cka(live: bool, width: Any = 170) -> vega.Chart:
    """Return a pair's similarity, with the first model's depth on the y axis, the second's on the x axis (`cka`)."""
    hue = theme.colour("heat", live)
    ticks = [0, 0.5, 1]
    shared: dict[str, Any] = {"scale": vega.Scale(domain=[-0.04, 1.04], nice=False)}
    tips = [
        vega.Tooltip("model_a:N", title="Up"),
        vega.Tooltip("layer_a:Q", title="its layer"),
        vega.Tooltip("model_b:N", title="Along"),
        vega.Tooltip("layer_b:Q", title="its layer"),
        vega.Tooltip("cka:Q", title="CKA", format=".3f"),
    ]
    return (
        _rows("cka")
        .mark_rect(fill=hue, stroke=None)
        .encode(
            x=vega.X("left:Q", axis=vega.Axis(title=None, values=ticks, domain=False), **shared),
            x2="right:Q",
            y=vega.Y("low:Q", axis=vega.Axis(title=None, values=ticks, domain=False, grid=False), **shared),
            y2="high:Q",
            opacity=vega.Opacity("cka:Q", scale=vega.Scale(domain=[0, 1], range=[0.03, 1], clamp=True), legend=None),
            tooltip=tips,
        )
        .properties(width=width, height=170)
    )


def sizes(levels: Sequence[str], live: bool, width: Any = 300) -> vega.Chart:
    """Return values of levels by parameters, with intervals; reads `sizes`."""
    x = vega.X(
        "parameters:Q", scale=vega.Scale(type="log"), axis=vega.Axis(title="parameters", format="~s", tickCount=4)
    )
    base = _rows("sizes").encode(x=x, color=_hue(levels, live))
    line = base.mark_line(strokeWidth=1.4).encode(y=_value("value"))
    rule = base.mark_rule(opacity=0.5).encode(y=_value("lo"), y2="hi:Q")
    return vega.layer(line, rule, _dots(base, ["shape:N"])).properties(width=width, height=220)


def training(levels: Sequence[str], live: bool, width: Any = 300) -> vega.Chart:
    """Return a quantity of levels by step of training, in doublings, with intervals; reads `training`."""
    x = vega.X(
        "at:Q",
        scale=vega.Scale(type="log", base=2, nice=False),
        axis=vega.Axis(title="step of training", format="~s", tickCount=8, labelOverlap=True),
    )
    base = _rows("training").encode(x=x, color=_hue(levels, live))
    band = base.mark_area(opacity=0.12).encode(y=_value("lo"), y2="hi:Q")
    line = base.mark_line(strokeWidth=1.4).encode(y=_value("value"))
    return vega.layer(band, line, _dots(base, ["step:Q"])).properties(width=width, height=220)


def _hue(levels: Sequence[str], live: bool) -> Any:
    """Return the colour of each level, with its legend below the chart."""
    hues = theme.series(live)
    scale = vega.Scale(domain=list(levels), range=[hues[i % len(hues)] for i in range(len(levels))])
    return vega.Color(
        "level:N", scale=scale, legend=vega.Legend(title=None, orient="bottom", columns=2, labelLimit=180)
    )


def _value(name: str) -> Any:
    return vega.Y(f"{name}:Q", scale=vega.Scale(zero=False), axis=vega.Axis(title=None, tickCount=5))


def _dots(base: vega.Chart, further: Sequence[str]) -> vega.Chart:
    """Return a dot per model, which shows its level, name, value, interval and `further` fields on hover."""
    numbers = [vega.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "lo", "hi")]
    tips = ["level:N", "model:N", *numbers, *further]
    return base.mark_circle(size=44, opacity=1).encode(y=_value("value"), tooltip=tips)


def training_grid(panels: Sequence[tuple[str, dict[str, str]]], levels: Sequence[str]) -> vega.Chart:
    """Return the fixed charts of several trainings and quantities side by side, each under its heading."""
    charts = []
    for heading, where in panels:
        test = " && ".join(f"datum.{name} == {value!r}" for name, value in where.items())
        charts.append(training(levels, False, 210).transform_filter(test).properties(title=heading))
    return vega.concat(*charts, columns=3, spacing=22)


def dressed(chart: vega.Chart, live: bool) -> dict[str, Any]:
    """Return a chart's spec with its configuration; in the page it takes the width of its container."""
    chart = chart.configure(**theme.config(live))
    if live:
        chart = chart.properties(width="container", autosize=vega.AutoSizeParams(type="fit-x", contains="padding"))
    return chart.to_dict()
