"""The first and the last exit next to the baselines, so that accuracies are always seen with their baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import polars as pl

from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.baselines import BARE_LAST, CHANCE, LEVEL, SET, rule_column
from layeratlas.studies.exits.names import ACCURACY, ALL
from layeratlas.studies.exits.scores import BASELINE_RULES
from layeratlas.studies.exits.settings import ExitSettings

_TICK = "M0,-1.4V1.4"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """How one accuracy of a set is drawn: its palette colour and its shape."""

    colour: str
    shape: str = _TICK


_RULE_COLOURS = ("series-2", "series-4", "series-5")
# Keyed by column of the baseline table.
_TICKS = {
    rule_column(rule): Mark(colour=colour) for rule, colour in zip(BASELINE_RULES, _RULE_COLOURS, strict=True)
} | {BARE_LAST: Mark(colour="series-3"), CHANCE: Mark(colour="control")}
EXIT_1, LAST_EXIT = "Exit 1", "Last exit"
_EXITS = {
    EXIT_1: Mark(colour="series-1", shape="M-1,0L0,-1L1,0L0,1Z"),
    LAST_EXIT: Mark(colour="ink", shape="circle"),
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """One accuracy of the chart; ticks have no interval."""

    set: str
    what: str
    value: float
    lo: float | None = None
    hi: float | None = None


def exhibits(table: pl.DataFrame, curves: pl.DataFrame, settings: ExitSettings) -> list[Exhibit]:
    """Return the chart of the first and the last exit next to the baselines; `table` is the table of baselines."""
    text = (
        "An exit whose interval covers a surface rule shows nothing that needs a model. Uniform logits, which carry no "
        "information, score each choice by a constant times its number of tokens: the published accuracies of the "
        "first layer are those of choosing the fewest tokens. Ticks: the surface rules, the last exit where it scores "
        "the choices without their question, and chance. Diamond: exit 1. Dot: the last exit. Lines: 95 % intervals."
    )
    own = curves.filter(component="resid", stratum=ALL, metric=ACCURACY, method=settings.score)
    values = [_rounded(value) for value in _values(table, own)]
    return [Exhibit(name="first-exit", title="Exit 1 against the baselines", text=text, chart=partial(_chart, values))]


def _values(table: pl.DataFrame, curves: pl.DataFrame) -> Iterator[Value]:
    for row in table.iter_rows(named=True):
        name = row[SET] if row[SET] == row[LEVEL] else f"{row[LEVEL]} \u00b7 {row[SET]}"
        for column in _TICKS:
            yield Value(set=name, what=column, value=row[column])
        points = curves.filter(task=row[SET]).sort("layer")
        read = points["layer"].to_list()
        for what, layer in ((EXIT_1, 1), (LAST_EXIT, max(read))):
            if layer not in read:
                continue
            point = points.row(read.index(layer), named=True)
            yield Value(set=name, what=what, value=point["estimate"], lo=point["lo"], hi=point["hi"])


def _rounded(value: Value) -> dict[str, Any]:
    shown = {name: number for name, number in asdict(value).items() if number is not None}
    return {name: round(number, 4) if isinstance(number, float) else number for name, number in shown.items()}


def _chart(values: list[dict[str, Any]], colour: Callable[[str], str]) -> Any:
    marks = _TICKS | _EXITS
    hue = vega.Color(
        "what:N",
        title=None,
        sort=None,
        legend=vega.Legend(orient="top", columns=3, symbolStrokeWidth=2),
        scale=vega.Scale(domain=list(marks), range=[colour(mark.colour) for mark in marks.values()]),
    )
    shape = vega.Shape(
        "what:N",
        title=None,
        sort=None,
        scale=vega.Scale(domain=list(marks), range=[mark.shape for mark in marks.values()]),
    )
    base = vega.chart(vega.Data(values=values)).encode(
        y=vega.Y("set:N", title=None, sort=None, axis=vega.Axis(labelLimit=230, grid=True))
    )
    x = vega.X("value:Q", title="accuracy", scale=vega.Scale(domain=[0, 1]))
    ranges = base.transform_filter("isValid(datum.lo)").mark_rule(strokeWidth=1.4)
    points = base.mark_point(size=70, strokeWidth=2).encode(
        x=x, color=hue, shape=shape, tooltip=["set:N", "what:N", "value:Q", "lo:Q", "hi:Q"]
    )
    layers = vega.layer(ranges.encode(x=vega.X("lo:Q"), x2="hi:Q", color=hue), points)
    return layers.properties(width=480, height=vega.Step(24))
