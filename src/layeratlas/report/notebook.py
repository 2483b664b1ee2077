"""A chart of a run for a notebook."""

from __future__ import annotations

import altair as alt
import polars as pl

from layeratlas.core.errors import SpecError
from layeratlas.report.hero import hero
from layeratlas.report.inputs import checked_curves
from layeratlas.report.lens import lens
from layeratlas.report.names import names_of
from layeratlas.report.rows import chart_rows
from layeratlas.report.titles import key, title, titled
from layeratlas.report.view import view_of
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import Study


def figure(
    run: FinishedRun,
    *,
    study: Study | None = None,
    level: str | None = None,
    component: str = "resid",
    method: str | None = None,
    metric: str | None = None,
) -> alt.VConcatChart:
    """Return the curves of the levels by depth, with intervals, controls and peaks.

    Without `level` all levels are drawn; `method` and `metric` default to those of the report. Raises SpecError for a
    name that the run does not have, StoreError for tables that are not curves.
    """
    table = checked_curves(run.curves, "the table of curves")
    if level is not None:
        _check("level", level, table["level"].unique(maintain_order=True).to_list())
        table = table.filter(pl.col("level") == level)
    names = names_of(run, study)
    view = view_of(run, study, table)
    asked = {"component": component, "method": method, "metric": metric}
    chosen = {name: code for name, code in asked.items() if code is not None}
    for name, code in chosen.items():
        _check(name, code, view.choices[name])
    look = lens(view, chosen=chosen)
    chart = titled(hero(look), title(look.chosen, "Levels by depth", names), key(names.study))
    rows = {name: table.to_dicts() for name, table in chart_rows(view, look.chosen).items()}
    return alt.VConcatChart.from_dict({**chart.to_dict(), "datasets": rows}, validate=False)


def _check(kind: str, code: str, known: list[str]) -> None:
    if code not in known:
        raise SpecError(f"no {kind} named '{code}' in the curves", f"one of {', '.join(known)}")
