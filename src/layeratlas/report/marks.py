"""Chart layers shared by several charts: chance and control, curves with intervals, and the readout of one layer."""

from __future__ import annotations

from typing import Any

from layeratlas.report import theme, vega
from layeratlas.report.lens import Lens, depth, source, tips

# Columns of the controls that are drawn in addition to shuffled labels.
RANDOM_WEIGHTS, SELECTIVITY = "random_weights", "selectivity"


def references(look: Lens, scope: str, ticks: int = 6) -> list[vega.Chart]:
    """Return the references of an estimate: the control with its 95 % range, chance, random weights."""
    base, grey = source("curves", scope), look.colour("control")
    band = base.mark_area(color=grey, opacity=0.13).encode(
        x=depth(), y=look.y("control_lo", ticks), y2="control_hi:Q", detail="part:N"
    )
    line = base.mark_line(color=grey, strokeDash=[4, 3], strokeWidth=1.2).encode(
        x=depth(), y=look.y("control", ticks), detail="part:N"
    )
    return [band, chance(look, base, ticks), line, *_random_weights(look, base, ticks)]


def _random_weights(look: Lens, base: vega.Chart, ticks: int) -> list[vega.Chart]:
    """Return the grey curves of the same architecture with random weights; empty if the run has none."""
    if not look.view.measured(RANDOM_WEIGHTS):
        return []
    rows = base.transform_filter(f"isValid(datum.{RANDOM_WEIGHTS})")
    line = rows.mark_line(color=look.colour("control"), strokeWidth=1.4)
    return [line.encode(x=depth(), y=look.y(RANDOM_WEIGHTS, ticks), detail="part:N")]


def chance(look: Lens, base: vega.Chart, ticks: int) -> vega.Chart:
    """Return the thin line at chance."""
    once = base.transform_aggregate(groupby=["chance"])
    return once.mark_rule(color=look.colour("control"), strokeWidth=0.9).encode(y=look.y("chance", ticks))


def curves(look: Lens, scope: str, ticks: int = 6) -> list[vega.Chart]:
    """Return intervals and estimates in the colours of their levels."""
    base, lit = source("curves", scope), {}
    if look.live and look.part is None:  # the level under the pointer is highlighted
        lit = {"strokeOpacity": {"condition": {"test": "!focus || datum.level === focus", "value": 1}, "value": 0.15}}
    band = base.mark_area(opacity=0.16).encode(
        x=depth(), y=look.y("lo", ticks), y2="hi:Q", color=look.level(), detail="part:N"
    )
    line = base.mark_line(strokeWidth=1.7, strokeJoin="round").encode(
        x=depth(), y=look.y("estimate", ticks), color=look.level(), detail="part:N", **lit
    )
    return [band, line]


def hover(*fields: str) -> vega.Spec:
    """Return the selection of the point nearest to the pointer, by these fields."""
    return vega.selection_point(name="hover", on="pointerover", clear="pointerout", nearest=True, fields=list(fields))


def readout(look: Lens, scope: str, ticks: int = 6) -> list[vega.Chart]:
    """Return the layer under the pointer, or under the keyboard's cursor: a rule, points and a tooltip."""
    when: list[dict[str, Any]] = [{"param": "hover", "empty": False, "value": 1}]
    when += [{"test": "datum.layer === reached", "value": 1}] if look.live else []
    base, visible = source("curves", scope), {"condition": when, "value": 0}
    rule = base.mark_rule(color=look.colour("soft"), strokeWidth=1).encode(x=depth(), opacity=visible)
    points = tips(look, base).mark_circle(size=46, stroke=look.colour("paper"), strokeWidth=1.2)
    points = points.encode(x=depth(), y=look.y("estimate", ticks), fill=look.level("fill"), opacity=visible)
    return [rule, points.add_params(hover("layer"))]


def finish(look: Lens, chart: vega.Chart, **signals: Any) -> vega.Chart:
    """Add the signals and, in the page, the configuration and the width of the container."""
    if not look.live:
        return chart
    chart = chart.add_params(*look.params(**signals)).configure(**theme.config(True))
    return chart.properties(width="container", autosize=vega.AutoSizeParams(type="fit-x", contains="padding"))
