"""The charts, each written once: live in the page (driven by its switches) or fixed in a figure or notebook."""

from __future__ import annotations

import json
from typing import Any

import altair as alt
import polars as pl

from layeratlas.report import theme
from layeratlas.report.lens import SWITCHES, Lens, depth, layer_axis, source, tips
from layeratlas.report.view import View, heat_rows

DOT = {"size": 90, "filled": True, "opacity": 1, "strokeWidth": 1.4}
_COLUMNS = (
    "part", "kind", "level", "row", "component", "method", "metric", "layer", "depth", "estimate", "lo", "hi",
    "chance", "control", "control_lo", "control_hi", "baseline", "n", "n_groups",
)  # fmt: skip
_ENDS = ("first", "last", "first_depth", "last_depth")


def hero(look: Lens, width: int = 640, height: int = 300) -> alt.VConcatChart:
    """Return the levels' curves by depth, above a strip of their peaks and the ranges of these."""
    scope = look.where(*SWITCHES, also=f"datum.kind === 'level' && {look.shown}")
    peaks = source("peaks", scope)
    marks = peaks.mark_point(**DOT, stroke=look.colour("paper")).encode(
        x=depth(), y=look.y("estimate"), fill=look.level("fill"), shape=look.level("shape")
    )
    surface = peaks.transform_filter("isValid(datum.baseline)").transform_calculate(end="1")
    ticks = surface.mark_point(size=42, filled=True, opacity=1, shape="triangle-left", xOffset=8).encode(
        x=depth("end"), y=look.y("baseline"), color=look.level()
    )
    layers = [*_backdrop(look, scope), *_curves(look, scope), ticks, *_reader(look, scope), marks]
    main = alt.layer(*layers).properties(width=width, height=height)
    return (
        alt.vconcat(main, _strip(look, peaks).properties(width=width), spacing=14)
        .resolve_scale(color="shared", shape="shared")
        .add_params(*look.params(shown=look.view.shown, reached=None))
        .properties(padding={"left": 2, "right": 14, "top": 6, "bottom": 4})
        .configure(**theme.config(look.live))
    )


def _strip(look: Lens, peaks: alt.Chart) -> alt.LayerChart:
    axis = layer_axis(look)
    rows = alt.Axis(labels=False, title=None, minExtent=34, domain=False, ticks=False, grid=False)
    row = alt.Y("level:N", sort=look.view.levels, axis=rows)
    extent = peaks.mark_rule(strokeWidth=7, opacity=0.32, strokeCap="round").encode(
        x=depth("first_depth", **axis), x2="last_depth:Q", y=row, color=look.level()
    )
    dot = peaks.mark_point(**DOT, stroke=look.colour("paper")).encode(
        x=depth(**axis), y=row, fill=look.level("fill"), shape=look.level("shape")
    )
    span = "datum.first < datum.last ? ' (' + datum.first + '–' + datum.last + ')' : ''"
    named = peaks.transform_calculate(label=f"truncate(datum.level, 22) + ', layer ' + datum.layer + ({span})")
    sides = []
    for test, field, align, dx in (("<=", "last_depth", "left", 13), (">", "first_depth", "right", -13)):
        text = named.transform_filter(f"(datum.first_depth + datum.last_depth) / 2 {test} 0.5")
        text = text.mark_text(align=align, dx=dx, limit=240)
        sides.append(text.encode(x=depth(field, **axis), y=row, text="label:N"))
    return alt.layer(extent, dot, *sides).properties(height={"step": 21})


def _backdrop(look: Lens, scope: str, ticks: int = 6) -> list[alt.Chart]:
    """Return what an estimate is read against: the shuffled labels with their range, and chance."""
    base, grey = source("curves", scope), look.colour("control")
    band = base.mark_area(color=grey, opacity=0.13).encode(
        x=depth(), y=look.y("control_lo", ticks), y2="control_hi:Q", detail="part:N"
    )
    line = base.mark_line(color=grey, strokeDash=[4, 3], strokeWidth=1.2).encode(
        x=depth(), y=look.y("control", ticks), detail="part:N"
    )
    return [band, _chance(look, base, ticks), line]


def _chance(look: Lens, base: alt.Chart, ticks: int) -> alt.Chart:
    once = base.transform_aggregate(groupby=["chance"])
    return once.mark_rule(color=look.colour("control"), strokeWidth=0.9).encode(y=look.y("chance", ticks))


def _curves(look: Lens, scope: str, ticks: int = 6) -> list[alt.Chart]:
    """Return intervals and estimates in the colours of their levels."""
    base = source("curves", scope)
    band = base.mark_area(opacity=0.16).encode(
        x=depth(), y=look.y("lo", ticks), y2="hi:Q", color=look.level(), detail="part:N"
    )
    line = base.mark_line(strokeWidth=1.7, strokeJoin="round").encode(
        x=depth(), y=look.y("estimate", ticks), color=look.level(), detail="part:N"
    )
    return [band, line]


def _reader(look: Lens, scope: str, ticks: int = 6) -> list[alt.Chart]:
    """Return the layer under the pointer, or under the keyboard's cursor: a rule, points and a tooltip."""
    hover = alt.selection_point(
        name="hover", on="pointerover", clear="pointerout", nearest=True, fields=["layer"], empty=False
    )
    when = [{"param": "hover", "empty": False, "value": 1}]
    when += [{"test": "datum.layer === reached", "value": 1}] if look.live else []
    base, seen = source("curves", scope), {"condition": when, "value": 0}
    rule = base.mark_rule(color=look.colour("soft"), strokeWidth=1).encode(x=depth(), opacity=seen)
    points = tips(look, base).mark_circle(size=46, stroke=look.colour("paper"), strokeWidth=1.2)
    points = points.encode(x=depth(), y=look.y("estimate", ticks), fill=look.level("fill"), opacity=seen)
    return [rule, points.add_params(hover)]


def heat(look: Lens, width: Any = 640) -> alt.LayerChart:
    """Return levels and their tasks by depth, stronger where the estimate exceeds its control by more."""
    scope = look.where(*SWITCHES, also="datum.row !== null")
    half = 0.5 / look.view.layers
    edges = {"left": f"datum.depth - {half}", "right": f"datum.depth + {half}"}
    cells = source("curves", scope).transform_calculate(gain="max(0, datum.estimate - datum.control)", **edges)
    most = alt.ExprRef("gains[metric]") if look.live else look.view.gains[look.chosen["metric"]]
    hue = look.colour("heat")
    key = alt.Legend(
        title=f"Estimate minus {look.view.words.control}", orient="bottom", direction="horizontal", symbolType="square",
        symbolSize=170, symbolStrokeWidth=0, symbolFillColor=hue, format=".2f", tickCount=5, columnPadding=12,
    )  # fmt: skip
    shade = alt.Opacity("gain:Q", scale=alt.Scale(domainMin=0, domainMax=most, range=[0.04, 1]), legend=key)
    bold = {"test": f"indexof({json.dumps(look.view.levels)}, datum.value) >= 0", "value": "bold"}
    weight = {"condition": bold, "value": "normal"}
    names = alt.Axis(title=None, domain=False, ticks=False, labelLimit=150, labelFontWeight=weight)
    marks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    x = alt.X(
        "left:Q",
        scale=alt.Scale(domain=[-half, 1 + half], nice=False),
        axis=alt.Axis(title="relative depth", values=marks, format=".1f", domain=False),
    )
    y = alt.Y("row:N", sort=heat_rows(look.view), axis=names)
    rects = tips(look, cells, "row", "Task").mark_rect(fill=hue, stroke=look.colour("paper"), strokeWidth=1)
    dots = source("peaks", scope).mark_circle(
        size=38, opacity=1, fill=look.colour("series-2"), stroke=look.colour("paper"), strokeWidth=1.2
    )
    chart = alt.layer(rects.encode(x=x, x2="right:Q", y=y, opacity=shade), dots.encode(x="depth:Q", y=y))
    return _finish(look, chart.properties(width=width, height=22 * len(heat_rows(look.view))), shown=look.view.shown)


def panel(look: Lens, part: int, width: Any = 190, height: int = 118) -> alt.LayerChart:
    """Return one task's or stratum's curve with its control, its peak and its surface-only baseline."""
    scope = look.where(*SWITCHES, also=look.one(part))
    peaks, ticks = source("peaks", scope), 4
    surface = peaks.transform_filter("isValid(datum.baseline)").mark_rule(strokeDash=[1.5, 2.5], strokeWidth=1.6)
    marks = peaks.mark_circle(size=56, opacity=1, stroke=look.colour("paper"), strokeWidth=1.2)
    words = peaks.transform_calculate(label="'layer ' + datum.layer").mark_text(
        dy=-11,
        fontSize=10.5,
        align=alt.ExprRef("datum.depth < 0.15 ? 'left' : datum.depth > 0.85 ? 'right' : 'center'"),
    )
    # Room for the highest label there can be, in every panel: panels side by side stay level.
    room = alt.Chart(alt.InlineData([{}])).mark_text(text="layer", dy=-11, fontSize=10.5, opacity=0)
    layers = [
        *_backdrop(look, scope, ticks),
        surface.encode(y=look.y("baseline", ticks), color=look.level()),
        *_curves(look, scope, ticks),
        marks.encode(x=depth(), y=look.y("estimate", ticks), fill=look.level("fill")),
        words.encode(x=depth(), y=look.y("estimate", ticks), text="label:N"),
        *(_reader(look, scope, ticks) if look.live else []),
        room.encode(x=alt.value(30), y=alt.value(0)),
    ]
    return _finish(look, alt.layer(*layers).properties(width=width, height=height), part=part, reached=None)


def components(look: Lens, part: int, width: Any = 230, height: int = 150) -> alt.LayerChart:
    """Return one level's curves in the residual stream, the attention outputs and the MLP outputs."""
    base = source("curves", look.where("method", "metric", also=look.one(part)))
    names, ticks = look.view.choices["component"], 4
    hues = theme.components(names, look.live)
    tint = alt.Color("component:N", scale=alt.Scale(domain=names, range=hues), legend=None)
    dashes = [theme.DASHES[i % len(theme.DASHES)] for i in range(len(names))]
    dash = alt.StrokeDash("component:N", scale=alt.Scale(domain=names, range=dashes), legend=None)
    band = base.mark_area(opacity=0.13).encode(x=depth(), y=look.y("lo", ticks), y2="hi:Q", color=tint)
    line = base.mark_line(strokeWidth=1.6).encode(x=depth(), y=look.y("estimate", ticks), color=tint, strokeDash=dash)
    layers = [_chance(look, base, ticks), band, line]
    if look.live:
        hover = alt.selection_point(
            name="hover", on="pointerover", clear="pointerout", nearest=True, fields=["layer", "component"], empty=False
        )
        seen = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
        points = tips(look, base, "component", "Component").mark_circle(size=46, stroke=look.colour("paper"))
        points = points.encode(x=depth(), y=look.y("estimate", ticks), fill=alt.Fill(**tint.to_dict()), opacity=seen)
        layers.append(points.add_params(hover))
    return _finish(look, alt.layer(*layers).properties(width=width, height=height), part=part)


def _finish(look: Lens, chart: alt.LayerChart, **signals: Any) -> alt.LayerChart:
    """Add the signals and, in the page, the configuration and the width of the container."""
    if not look.live:
        return chart
    chart = chart.add_params(*look.params(**signals)).configure(**theme.config(True))
    return chart.properties(width="container", autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))


def rows_for(view: View, chosen: dict[str, str] | None = None) -> dict[str, pl.DataFrame]:
    """Return the rows that the charts read, by the names under which they read them."""

    def trim(table: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
        whole = (pl.col("stratum") == "all") & pl.col("row").is_in(heat_rows(view))
        numbers = pl.selectors.float()
        return (
            table.filter(**(chosen or {}))
            .with_columns(pl.when(whole).then("row").alias("row"))
            .select(columns)
            .with_columns(pl.when(numbers.is_finite()).then(numbers.round(5)).name.keep())
        )

    return {"curves": trim(view.rows, _COLUMNS), "peaks": trim(view.peaks, _COLUMNS + _ENDS)}
