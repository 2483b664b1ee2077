"""The main chart: the curves of all levels by depth, above a strip of their peaks."""

from __future__ import annotations

from layeratlas.report import theme, vega
from layeratlas.report.lens import Lens, depth, layer_axis, source
from layeratlas.report.marks import RANDOM_WEIGHTS, SELECTIVITY, curves, readout, references
from layeratlas.report.parts import PartKind
from layeratlas.report.view import CHOICES, View

# The position of a peak range's label: on the range if it is wide, at the end further from the peak's dot; otherwise
# next to the range, towards the middle.
_WIDE = "datum.first_depth < 0.3 && datum.last_depth > 0.7"
_LEFT = "datum.first_depth + datum.last_depth <= 1"
_LABELS = (
    (f"({_WIDE}) && datum.depth > 0.5", "first_depth", "left", 13),
    (f"({_WIDE}) && datum.depth <= 0.5", "last_depth", "right", -13),
    (f"!({_WIDE}) && {_LEFT}", "last_depth", "left", 13),
    (f"!({_WIDE}) && !({_LEFT})", "first_depth", "right", -13),
)
_SELECTIVITY_HEIGHT = 72
_RANDOM = "Solid grey: the same architecture with random weights."
_DOT = {"size": 90, "filled": True, "opacity": 1, "strokeWidth": 1.4}


def hero(look: Lens, width: int = 640, height: int = 300) -> vega.Chart:
    """Return the levels' curves by depth, above a strip with their peaks and peak ranges."""
    scope = look.where(*CHOICES, also=f"datum.kind === '{PartKind.LEVEL}' && {look.shown}")
    peaks = source("peaks", scope)
    marks = (
        peaks.transform_filter("datum.clear")
        .mark_point(**_DOT, stroke=look.colour("paper"))
        .encode(x=depth(), y=look.y("estimate"), fill=look.level("fill"), shape=look.level("shape"))
    )
    layers = [*references(look, scope), *curves(look, scope), _baselines(look, peaks), *readout(look, scope), marks]
    main = vega.layer(*layers).properties(width=width, height=height)
    return (
        vega.vconcat(main, *_selectivity(look, scope, width), _strip(look, peaks).properties(width=width), spacing=14)
        .resolve_scale(color="shared", shape="shared")
        .add_params(*look.params(shown=look.view.shown, reached=None, focus=None))
        .properties(padding={"left": 2, "right": 14, "top": 6, "bottom": 4})
        .configure(**theme.config(look.live))
    )


def controls_key(view: View) -> list[str]:
    """Return the legend texts for the controls of the main chart that the run has."""
    texts = {
        RANDOM_WEIGHTS: _RANDOM,
        SELECTIVITY: "Lower chart: selectivity, the estimate minus the accuracy on random labels that are the same "
        "wherever a word recurs.",
    }
    return [text for column, text in texts.items() if view.measured(column)]


def panel_key(view: View) -> str:
    """Return the legend text for the chart of one level."""
    words = view.names.study
    random_weights = f" {_RANDOM}" if view.measured(RANDOM_WEIGHTS) else ""
    return (
        f"Line and band: the estimate with its 95 % interval. Dashed grey: the control ({words.control}). Thin line: "
        f"chance. Dotted: the baseline ({words.baseline}).{random_weights} The same in every chart below."
    )


def _selectivity(look: Lens, scope: str, width: int) -> list[vega.Chart]:
    """Return the chart of selectivity with its interval, to go below the main chart; empty if the run has none."""
    if not look.view.measured(SELECTIVITY):
        return []
    rows = source("curves", scope).transform_filter(f"isValid(datum.{SELECTIVITY})")
    axis = vega.Axis(title=None, tickCount=3, minExtent=34, format="~g")

    def y(field: str) -> vega.Spec:
        return vega.Y(f"{field}:Q", axis=axis, scale=vega.Scale(zero=True))

    zero = rows.transform_aggregate(groupby=["kind"]).transform_calculate(zero="0")
    rule = zero.mark_rule(color=look.colour("control"), strokeWidth=0.9).encode(y=y("zero"))
    band = rows.mark_area(opacity=0.16).encode(
        x=depth(title=None), y=y(f"{SELECTIVITY}_lo"), y2=f"{SELECTIVITY}_hi:Q", color=look.level(), detail="part:N"
    )
    line = rows.mark_line(strokeWidth=1.5).encode(
        x=depth(title=None), y=y(SELECTIVITY), color=look.level(), detail="part:N"
    )
    return [vega.layer(rule, band, line).properties(width=width, height=_SELECTIVITY_HEIGHT)]


def _baselines(look: Lens, peaks: vega.Chart) -> vega.Chart:
    """Return a triangle per level at the height of its baseline, at the right edge."""
    rows = peaks.transform_filter("isValid(datum.baseline)").transform_calculate(end="1")
    mark = rows.mark_point(size=42, filled=True, opacity=1, shape="triangle-left", xOffset=8)
    return mark.encode(x=depth("end"), y=look.y("baseline"), color=look.level())


def _strip(look: Lens, peaks: vega.Chart) -> vega.Chart:
    """Return one row per level: its peak, the layers that are about as good, and the layer numbers."""
    axis = layer_axis(look)
    rows = vega.Axis(labels=False, title=None, minExtent=34, domain=False, ticks=False, grid=False)
    row = vega.Y("level:N", sort=look.view.levels, axis=rows)
    shown = peaks.transform_filter("datum.clear")
    extent = shown.mark_rule(strokeWidth=7, opacity=0.32, strokeCap="round").encode(
        x=depth("first_depth", **axis), x2="last_depth:Q", y=row, color=look.level()
    )
    dot = shown.mark_point(**_DOT, stroke=look.colour("paper")).encode(
        x=depth(**axis), y=row, fill=look.level("fill"), shape=look.level("shape")
    )
    span = "datum.first < datum.last ? ' (' + datum.first + '–' + datum.last + ')' : ''"
    labelled = shown.transform_calculate(label=f"truncate(datum.level, 22) + ', layer ' + datum.layer + ({span})")
    none = peaks.transform_filter("!datum.clear").transform_calculate(
        label="datum.level + ': no peak shown'", start="0"
    )
    text = none.mark_text(align="left", limit=320).encode(x=depth("start", **axis), y=row, text="label:N")
    labels = [text]
    for test, field, align, dx in _LABELS:
        text = labelled.transform_filter(test).mark_text(align=align, dx=dx, limit=240)
        labels.append(text.encode(x=depth(field, **axis), y=row, text="label:N"))
    return vega.layer(extent, dot, *labels).properties(height={"step": 21})
