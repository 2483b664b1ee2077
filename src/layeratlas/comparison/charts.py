"""The charts of a comparison, each on named rows: interactive in the page, static in a figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.report import theme, vega
from layeratlas.report.lens import depth


def _models(names: Sequence[str], live: bool, kind: Any = vega.Color) -> Any:
    """Return the encoding of a model: a colour; beyond eight models colours repeat and dashes distinguish them."""
    hues = theme.series(live)
    scale = vega.Scale(domain=list(names), range=[hues[i % len(hues)] for i in range(len(names))])
    return kind("model:N", scale=scale, legend=None)


def _dash(names: Sequence[str]) -> vega.Spec:
    dashes = [theme.DASHES[(i // len(theme.SERIES)) % len(theme.DASHES)] for i in range(len(names))]
    return vega.StrokeDash("model:N", scale=vega.Scale(domain=list(names), range=dashes), legend=None)


def rows_of(name: str) -> vega.Chart:
    """Return an empty chart on named rows."""
    return vega.chart(vega.NamedData(name))


def tips(*more: Any) -> list[Any]:
    """Return the tooltips of a point of a curve, after its model and `more`."""
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


def curves(names: Sequence[str], live: bool, width: Any = 250, height: int = 150) -> vega.Chart:
    """Return one level's curves of all models over relative depth; reads `curves`."""
    base = rows_of("curves")
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
            x=depth(), y=vega.Y("estimate:Q", **y), fill=_models(names, live, vega.Fill), opacity=seen, tooltip=tips()
        )
        layers.append(points.add_params(hover))
    return vega.layer(*layers).properties(width=width, height=height)


def peaks(names: Sequence[str], entries: Sequence[str], live: bool, width: Any = 640) -> vega.Chart:
    """Return the peak's depth of every level and model with its interval; reads `places`."""
    y = vega.Y("level:N", sort=list(entries), axis=vega.Axis(title=None, domain=False, ticks=False, labelLimit=230))
    base = rows_of("places").encode(y=y, yOffset=vega.YOffset("model:N", sort=list(names)), color=_models(names, live))
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
        rows_of("cka")
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
    base = rows_of("sizes").encode(x=x, color=_hue(levels, live))
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
    base = rows_of("training").encode(x=x, color=_hue(levels, live))
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
