"""The first exit and the last beside what needs no model, drawn so that no accuracy is read alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import altair as alt
import polars as pl

from layeratlas.runs.study import Exhibit
from layeratlas.studies.exits.prompts import ExitSettings

# What is drawn of each set: its column in the table of baselines, its colour and its shape.
_RULES = {
    "Fewest tokens": ("series-2", "M0,-1.4V1.4"),
    "Fewest bytes": ("series-4", "M0,-1.4V1.4"),
    "Commonest answer": ("series-5", "M0,-1.4V1.4"),
    "Without the question, last exit": ("series-3", "M0,-1.4V1.4"),
    "Chance": ("control", "M0,-1.4V1.4"),
}
_EXITS = {"Exit 1": ("series-1", "M-1,0L0,-1L1,0L0,1Z"), "Last exit": ("ink", "circle")}


def exhibits(table: pl.DataFrame, curves: pl.DataFrame, settings: ExitSettings) -> list[Exhibit]:
    """Return the chart of both ends over the rules of thumb; `table` is that of the baselines."""
    text = (
        "An exit whose interval holds a rule of thumb does nothing that needs a model. Uniform logits, which know "
        "nothing, score each choice by a constant times its number of tokens: the published accuracies of the first "
        "layer are those of choosing the fewest tokens, and no ability. Ticks: what the rules get, the last exit where "
        "it sees the choices without their question, and chance. Diamond: exit 1. Dot: the last exit. Lines: 95 % "
        "intervals."
    )
    drawn = partial(_chart, _values(table, curves, settings))
    return [Exhibit("first-exit", "What the first exit is worth", text, chart=drawn)]


def _values(table: pl.DataFrame, curves: pl.DataFrame, settings: ExitSettings) -> list[dict[str, Any]]:
    own = curves.filter(component="resid", stratum="all", metric="accuracy", method=settings.score)
    values = []
    for row in table.iter_rows(named=True):
        name = row["Set"] if row["Set"] == row["Ability"] else f"{row['Ability']} \u00b7 {row['Set']}"
        values += [{"set": name, "what": rule, "value": row[rule]} for rule in _RULES]
        ends = own.filter(task=row["Set"]).sort("layer")
        for what, at in (("Exit 1", 1), ("Last exit", -1)):
            point = ends.row(at, named=True)
            values.append({"set": name, "what": what, "value": point["estimate"], "lo": point["lo"], "hi": point["hi"]})
    return [{k: round(v, 4) if isinstance(v, float) else v for k, v in value.items()} for value in values]


def _chart(values: list[dict[str, Any]], colour: Callable[[str], str]) -> Any:
    known = _RULES | _EXITS
    hue = alt.Color(
        "what:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=3, symbolStrokeWidth=2),
        scale=alt.Scale(domain=list(known), range=[colour(name) for name, _ in known.values()]),
    )  # fmt: skip
    shape = alt.Shape(
        "what:N", title=None, sort=None, scale=alt.Scale(domain=list(known), range=[s for _, s in known.values()])
    )
    base = alt.Chart(alt.Data(values=values)).encode(
        y=alt.Y("set:N", title=None, sort=None, axis=alt.Axis(labelLimit=230, grid=True))
    )
    x = alt.X("value:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]))
    ranges = base.transform_filter("isValid(datum.lo)").mark_rule(strokeWidth=1.4)
    marks = base.mark_point(size=70, strokeWidth=2).encode(
        x=x, color=hue, shape=shape, tooltip=["set:N", "what:N", "value:Q", "lo:Q", "hi:Q"]
    )
    layers = alt.layer(ranges.encode(x=alt.X("lo:Q"), x2="hi:Q", color=hue), marks)
    return layers.properties(width=480, height=alt.Step(24))
