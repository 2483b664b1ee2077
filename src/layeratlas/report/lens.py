"""What a chart looks at, and the encodings that every chart shares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import altair as alt

from layeratlas.report import theme
from layeratlas.report.view import View

SWITCHES = ("component", "method", "metric")
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
_TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1]


@dataclass(frozen=True)
class Lens:
    """What a chart looks at: Vega signals of the page (`live`), or the given choices for good."""

    view: View
    live: bool
    chosen: dict[str, str]

    def term(self, name: str) -> str:
        """Return the Vega expression of a choice: a signal's name, or a quoted constant."""
        return name if self.live else json.dumps(self.chosen[name])

    def where(self, *names: str, also: str = "true") -> str:
        """Return a filter on the named choices."""
        return " && ".join([*(f"datum.{name} === {self.term(name)}" for name in names), also])

    def one(self, part: int) -> str:
        """Return a filter on one part: the page's signal, or that part for good."""
        return f"datum.part === {'part' if self.live else part}"

    @property
    def shown(self) -> str:
        """A filter on the levels that the reader has not switched off."""
        names = "shown" if self.live else json.dumps(self.view.shown)
        return f"indexof({names}, datum.level) >= 0"

    def colour(self, name: str) -> str:
        """Return a colour of the palette."""
        return theme.colour(name, self.live)

    def params(self, **more: Any) -> list[Any]:
        """Return the signals that the page sets; none for a fixed chart."""
        if not self.live:
            return []
        values: dict[str, Any] = {**self.chosen, "limits": self.view.limits, "gains": self.view.gains, **more}
        return [alt.param(name=name, value=value) for name, value in values.items()]

    def y(self, field: str, ticks: int = 6) -> alt.Y:
        """Return a y axis on the metric's own limits, the same for every component and probe."""
        low, high = self.view.limits[self.chosen["metric"]]
        ends: dict[str, Any] = {"domainMin": low, "domainMax": high}
        if self.live:
            ends = {"domainMin": alt.ExprRef("limits[metric][0]"), "domainMax": alt.ExprRef("limits[metric][1]")}
        scale = alt.Scale(**ends, zero=False, nice=False, clamp=True)
        axis = alt.Axis(title=None, tickCount=ticks, minExtent=34, format="~g")
        return alt.Y(f"{field}:Q", scale=scale, axis=axis)

    def level(self, mark: str = "color") -> Any:
        """Return the encoding of a level by `color`, `fill` or `shape`, the same in every chart."""
        if mark == "shape":
            shapes = [SHAPES[i % len(SHAPES)] for i in range(len(self.view.levels))]
            return alt.Shape("level:N", scale=alt.Scale(domain=self.view.levels, range=shapes), legend=None)
        channel = {"color": alt.Color, "fill": alt.Fill}[mark]
        return channel("level:N", scale=alt.Scale(domain=self.view.levels), legend=None)


def lens(view: View, live: bool = False, **chosen: str) -> Lens:
    """Return a lens on a view; choices that are not given take the view's defaults."""
    return Lens(view, live, {**view.defaults, **chosen})


def source(name: str, condition: str) -> alt.Chart:
    """Return a chart of the named rows that meet a condition."""
    return alt.Chart(alt.NamedData(name)).transform_filter(condition)


def depth(field: str = "depth", **axis: Any) -> alt.X:
    """Return the x axis: relative depth from 0 to 1."""
    options = {"title": "relative depth", "values": _TICKS, "format": ".1f", **axis}
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(**options))


def layer_axis(look: Lens) -> dict[str, Any]:
    """Return axis options that name layers: points of the residual stream, or blocks of a component."""
    total = look.view.layers
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 10**6) if total / s <= 12)
    resid = [round(i / total, 6) for i in range(0, total + 1, step)]
    blocks = [round((i + 1) / total, 6) for i in range(0, total, step)]
    choice = f"{look.term('component')} === 'resid'"
    return {
        "title": "layer",
        "values": alt.ExprRef(f"{choice} ? {json.dumps(resid)} : {json.dumps(blocks)}"),
        "labelExpr": f"round(datum.value * {total}) - ({choice} ? 0 : 1)",
    }


def tips(look: Lens, chart: alt.Chart, first: str = "level", title: str = "Level") -> alt.Chart:
    """Add the tooltip that every reading has: where, how much, how sure, against what, from how many."""
    words = look.view.words
    pair = "isValid(datum.lo) ? format(datum.lo, '.3f') + ' to ' + format(datum.hi, '.3f') : '–'"
    whole = "isValid(datum.baseline) ? format(datum.baseline, '.3f') : '–'"
    shown = [
        alt.Tooltip(f"{first}:N", title=title),
        alt.Tooltip("layer:Q", title="Layer"),
        alt.Tooltip("depth:Q", title="Relative depth", format=".2f"),
        alt.Tooltip("estimate:Q", title="Estimate", format=".3f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("control:Q", title=f"Control ({words.control})", format=".3f"),
        alt.Tooltip("chance:Q", title="Chance", format=".3f"),
        alt.Tooltip("surface:N", title=_capital(words.baseline)),
        alt.Tooltip("n:Q", title="n"),
        alt.Tooltip("n_groups:Q", title="Groups"),
    ]
    return chart.transform_calculate(interval=pair, surface=whole).encode(tooltip=shown)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
