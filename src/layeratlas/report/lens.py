"""The selection of rows that a chart shows, and the encodings shared by all charts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from layeratlas.report import theme, vega
from layeratlas.report.limits import LEVELS
from layeratlas.report.view import View

SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
DEPTHS = [0, 0.2, 0.4, 0.6, 0.8, 1]
_MOST_TICKS = 12
_STEPS = (1, 2, 5, 10, 20, 50, 100, 10**6)


@dataclass(frozen=True, kw_only=True)
class Lens:
    """The choices that select a chart's rows: those of the page's switches (`live`, as Vega signals), or fixed ones.

    `part` is the code of the chart's part; None for a chart of all levels.
    """

    view: View
    live: bool
    chosen: dict[str, str]
    part: int | None = None

    def on(self, part: int) -> Lens:
        """Return the lens on one part; in the page the signal `part` selects it."""
        return replace(self, part=part)

    def term(self, name: str) -> str:
        """Return the Vega expression of a choice: a signal's name, or a quoted constant."""
        return name if self.live else json.dumps(self.chosen[name])

    def where(self, *choices: str, also: str = "true") -> str:
        """Return a filter on the named choices, on the lens's part if it has one, and on a further condition."""
        tests = [f"datum.{name} === {self.term(name)}" for name in choices]
        if self.part is not None:
            tests.append(f"datum.part === {'part' if self.live else self.part}")
        return " && ".join([*tests, also])

    @property
    def shown(self) -> str:
        """A filter on the levels that are switched on in the page."""
        names = "shown" if self.live else json.dumps(self.view.shown)
        return f"indexof({names}, datum.level) >= 0"

    def colour(self, name: str) -> str:
        """Return a colour of the palette."""
        return theme.colour(name, self.live)

    def params(self, **more: Any) -> list[Any]:
        """Return the signals that the page sets; empty for a fixed chart."""
        if not self.live:
            return []
        values: dict[str, Any] = {**self.chosen, "limits": self.view.limits, "most": self.view.most, **more}
        values |= {} if self.part is None else {"part": self.part}
        return [vega.param(name=name, value=value) for name, value in values.items()]

    def y(self, field: str, ticks: int = 6) -> vega.Spec:
        """Return a y axis on the metric's limits (those of the part, if any), the same for all components and probes.

        Values beyond the limits are drawn at the edge.
        """
        key = LEVELS if self.part is None else str(self.part)
        low, high = self.view.limits[self.chosen["metric"]].get(key, [0.0, 1.0])
        ends: dict[str, Any] = {"domainMin": low, "domainMax": high}
        if self.live:
            limits = f"limits[metric][{json.dumps(LEVELS) if self.part is None else 'part'}]"
            # A part without this metric is hidden, but Vega still evaluates its expression.
            ends = {
                f"domain{end}": vega.ExprRef(f"isValid({limits}) ? {limits}[{i}] : {i}")
                for i, end in enumerate(("Min", "Max"))
            }
        scale = vega.Scale(**ends, zero=False, nice=False, clamp=True)
        axis = vega.Axis(title=None, tickCount=ticks, minExtent=34, format="~g")
        return vega.Y(f"{field}:Q", scale=scale, axis=axis)

    def level(self, mark: str = "color") -> vega.Spec:
        """Return the encoding of a level by `color`, `fill` or `shape`, the same in every chart."""
        if mark == "shape":
            shapes = [SHAPES[i % len(SHAPES)] for i in range(len(self.view.levels))]
            return vega.Shape("level:N", scale=vega.Scale(domain=self.view.levels, range=shapes), legend=None)
        return vega.Color("level:N", scale=vega.Scale(domain=self.view.levels), legend=None)


def lens(view: View, *, live: bool = False, chosen: Mapping[str, str] | None = None) -> Lens:
    """Return a lens on a view; choices that are not given take the view's defaults."""
    return Lens(view=view, live=live, chosen={**view.defaults, **(chosen or {})})


def source(name: str, condition: str) -> vega.Chart:
    """Return a chart of the named rows that meet a condition."""
    return vega.chart(vega.NamedData(name)).transform_filter(condition)


def depth(field: str = "depth", **axis: Any) -> vega.Spec:
    """Return the x axis: relative depth from 0 to 1."""
    options = {"title": "relative depth", "values": DEPTHS, "format": ".1f", **axis}
    return vega.X(f"{field}:Q", scale=vega.Scale(domain=[0, 1], nice=False), axis=vega.Axis(**options))


def layer_axis(look: Lens) -> dict[str, Any]:
    """Return axis options that number layers: points of the residual stream, or blocks of another component."""
    total = look.view.layers
    step = next(step for step in _STEPS if total / step <= _MOST_TICKS)
    resid = [round(i / total, 6) for i in range(0, total + 1, step)]
    blocks = [round((i + 1) / total, 6) for i in range(0, total, step)]
    choice = f"{look.term('component')} === 'resid'"
    return {
        "title": "layer",
        "values": vega.ExprRef(f"{choice} ? {json.dumps(resid)} : {json.dumps(blocks)}"),
        "labelExpr": f"round(datum.value * {total}) - ({choice} ? 0 : 1)",
    }


def tips(look: Lens, chart: vega.Chart, first: str = "level", title: str = "Level") -> vega.Chart:
    """Add the tooltip of every chart: layer, estimate, interval, control, chance, baseline and n."""
    words = look.view.names.study
    interval = "isValid(datum.lo) ? format(datum.lo, '.3f') + ' to ' + format(datum.hi, '.3f') : '–'"
    baseline = "isValid(datum.baseline) ? format(datum.baseline, '.3f') : '–'"
    fields = [
        vega.Tooltip(f"{first}:N", title=title),
        vega.Tooltip("layer:Q", title="Layer"),
        vega.Tooltip("depth:Q", title="Relative depth", format=".2f"),
        vega.Tooltip("estimate:Q", title="Estimate", format=".3f"),
        vega.Tooltip("interval:N", title="95 % interval"),
        vega.Tooltip("control:Q", title=f"Control ({words.control})", format=".3f"),
        vega.Tooltip("chance:Q", title="Chance", format=".3f"),
        vega.Tooltip("surface:N", title=f"Baseline ({words.baseline})"),
        vega.Tooltip("n:Q", title="n"),
        vega.Tooltip("n_groups:Q", title="Groups"),
    ]
    return chart.transform_calculate(interval=interval, surface=baseline).encode(tooltip=fields)
