"""The small charts: one task's or stratum's curve, and one level's curves in all components."""

from __future__ import annotations

from typing import Any

from layeratlas.report import theme, vega
from layeratlas.report.lens import Lens, depth, source, tips
from layeratlas.report.marks import chance, curves, finish, hover, readout, references
from layeratlas.report.view import CHOICES

_TICKS = 4


def panel(look: Lens, part: int, width: Any = 190, height: int = 118) -> vega.Chart:
    """Return one task's or stratum's curve with its control, its baseline and, if one was shown, its peak."""
    look = look.on(part)
    scope = look.where(*CHOICES)
    peaks = source("peaks", scope)
    baseline = peaks.transform_filter("isValid(datum.baseline)").mark_rule(strokeDash=[1.5, 2.5], strokeWidth=1.6)
    shown = peaks.transform_filter("datum.clear")
    marks = shown.mark_circle(size=56, opacity=1, stroke=look.colour("paper"), strokeWidth=1.2)
    labels = shown.transform_calculate(label="'layer ' + datum.layer").mark_text(
        dy=-11,
        fontSize=10.5,
        align=vega.ExprRef("datum.depth < 0.15 ? 'left' : datum.depth > 0.85 ? 'right' : 'center'"),
    )
    # An invisible label at the highest possible position in every panel keeps neighbouring panels aligned.
    spacer = vega.chart(vega.Data([{}])).mark_text(text="layer", dy=-11, fontSize=10.5, opacity=0.001)
    layers = [
        *references(look, scope, _TICKS),
        baseline.encode(y=look.y("baseline", _TICKS), color=look.level()),
        *curves(look, scope, _TICKS),
        marks.encode(x=depth(), y=look.y("estimate", _TICKS), fill=look.level("fill")),
        labels.encode(x=depth(), y=look.y("estimate", _TICKS), text="label:N"),
        *(readout(look, scope, _TICKS) if look.live else []),
        spacer.encode(x=vega.value(30), y=vega.value(0)),
    ]
    return finish(look, vega.layer(*layers).properties(width=width, height=height), reached=None)


def components(look: Lens, part: int, width: Any = 230, height: int = 150) -> vega.Chart:
    """Return one level's curves in the residual stream, the attention outputs and the MLP outputs."""
    look = look.on(part)
    base = source("curves", look.where("method", "metric"))
    names = look.view.choices["component"]
    hues = theme.components(names, look.live)
    tint = vega.Color("component:N", scale=vega.Scale(domain=names, range=hues), legend=None)
    dashes = [theme.DASHES[i % len(theme.DASHES)] for i in range(len(names))]
    dash = vega.StrokeDash("component:N", scale=vega.Scale(domain=names, range=dashes), legend=None)
    band = base.mark_area(opacity=0.13).encode(x=depth(), y=look.y("lo", _TICKS), y2="hi:Q", color=tint)
    line = base.mark_line(strokeWidth=1.6).encode(x=depth(), y=look.y("estimate", _TICKS), color=tint, strokeDash=dash)
    layers = [chance(look, base, _TICKS), band, line]
    if look.live:
        visible = {"condition": {"param": "hover", "empty": False, "value": 1}, "value": 0}
        points = tips(look, base, "component", "Component").mark_circle(size=46, stroke=look.colour("paper"))
        points = points.encode(x=depth(), y=look.y("estimate", _TICKS), fill=tint, opacity=visible)
        layers.append(points.add_params(hover("layer", "component")))
    return finish(look, vega.layer(*layers).properties(width=width, height=height))
