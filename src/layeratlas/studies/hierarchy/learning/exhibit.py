"""The exhibits of learning curves: accuracy by number of texts and of dimensions, and the forecast for more texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isinf
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.report import vega
from layeratlas.runs.study import Exhibit
from layeratlas.runs.tables import read_table
from layeratlas.studies.hierarchy.learning.stage import SHARES, Axis, Role
from layeratlas.studies.hierarchy.names import FORECASTS, LEARNING

_TEXTS = (
    "The first probe at the layer where a task decodes best and at the last layer, trained on parts of its training "
    "texts and tested on the same held-out texts. Bands: 95 % intervals. Grey: chance. The peak layer is chosen on "
    "the same texts, so that its values are slightly biased upward by selection. Table: the asymptote of a power law "
    "fitted to the curve, and how many training texts would put the lower end of the interval above chance; in "
    "brackets 95 % intervals."
)
_DIMENSIONS = (
    "The same probe trained on all training texts, seeing only their first principal components. A label that needs "
    "many components is spread over directions of small variance."
)
_COLUMNS = 3


def learning_exhibits(folder: Path) -> list[Exhibit]:
    """Return the learning curves of a run; empty if it measured none."""
    if not (folder / LEARNING).is_file():
        return []
    points, forecasts = read_table(folder / LEARNING), read_table(folder / FORECASTS)
    if points.is_empty():
        return []
    by_texts, by_dimension = (_rows(points, axis) for axis in (Axis.TEXTS, Axis.DIMENSIONS))
    return [
        Exhibit(
            "learning-texts",
            "Would more texts decode it?",
            _TEXTS,
            chart=partial(_chart, by_texts, "training texts"),
            table=_forecast_rows(forecasts),
        ),
        Exhibit(
            "learning-dimensions",
            "How many dimensions does it take?",
            _DIMENSIONS,
            chart=partial(_chart, by_dimension, "principal components"),
        ),
    ]


def _rows(points: pl.DataFrame, axis: Axis) -> list[dict[str, Any]]:
    kept = points.filter(pl.col("axis") == axis).drop("axis", "metric", "level")
    return kept.with_columns(pl.selectors.float().round(4)).to_dicts()


def _chart(rows: list[dict[str, Any]], title: str, colour: Callable[[str], str]) -> Any:
    """Return one small chart per task with a line for each of the two layers."""
    base = vega.Chart()
    x = vega.X(
        "size:Q", title=title, scale=vega.Scale(type="log", nice=False), axis=vega.Axis(tickCount=4, format="~s")
    )
    hues = vega.Scale(domain=[role.value for role in Role], range=[colour("series-1"), colour("series-2")])
    hue = vega.Color("role:N", title=None, scale=hues, legend=vega.Legend(orient="top"))
    rule = base.mark_rule(color=colour("control")).encode(y="chance:Q")
    band = base.mark_area(opacity=0.16).encode(x=x, y=vega.Y("lo:Q", title=None), y2="hi:Q", color=hue)
    y = vega.Y("estimate:Q", title=None, scale=vega.Scale(zero=False))
    line = base.mark_line(point=True).encode(x=x, y=y, color=hue, tooltip=["task:N", "layer:Q", "size:Q", "estimate:Q"])
    small = vega.layer(rule, band, line).properties(width=180, height=110)
    facet = vega.Facet("task:N", title=None, sort=None)
    return small.facet(facet, data=vega.Data(rows), columns=_COLUMNS).resolve_scale(x="independent")


def _forecast_rows(forecasts: pl.DataFrame) -> pl.DataFrame:
    rows = [
        {
            "Level": row["level"],
            "Task": row["task"],
            "Layer": f"{row['layer']} ({row['role']})",
            "Training texts": round(row["texts"]),
            "Estimate": f"{row['estimate']:.2f}",
            "Asymptote": f"{row['asymptote']:.2f} [{row['lo']:.2f}, {row['hi']:.2f}]",
            "Texts that settle it": _needed(row),
            "Reading": row["reading"],
        }
        for row in forecasts.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)


def _needed(row: dict[str, Any]) -> str:
    fewest = row["texts"] * SHARES[0]

    def shown(number: float) -> str:
        if isinf(number):
            return f"over {100 * row['texts']:,.0f}"
        return f"at most {number:,.0f}" if number <= fewest + 1 else f"{number:,.0f}"

    middle, lo, hi = (shown(row[name]) for name in ("needed", "needed_lo", "needed_hi"))
    return middle if middle == lo == hi else f"{middle} [{lo}, {hi}]"
