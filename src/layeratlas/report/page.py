"""The report of a run: one self-contained page, built from the run's tables alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.files import write_atomic
from layeratlas.report import figures, theme
from layeratlas.report.advice import advice
from layeratlas.report.answers import answers
from layeratlas.report.drawing import Drawable, drawable, write_beside
from layeratlas.report.heat import heat
from layeratlas.report.hero import controls_key, hero, panel_key
from layeratlas.report.lead import card, headlines, source
from layeratlas.report.lens import lens
from layeratlas.report.overview import overview
from layeratlas.report.panels import components, panel
from layeratlas.report.parts import PartKind
from layeratlas.report.rows import chart_rows
from layeratlas.report.shell import packed, rendered
from layeratlas.report.titles import key
from layeratlas.report.view import View
from layeratlas.runs.chat import chat_methods
from layeratlas.runs.precision import precision_methods
from layeratlas.runs.study import Exhibit, Study


def build(folder: str | Path, study: Study | None) -> Path:
    """Write a run's `report.html` and the map beside it, and return the page's path; equal tables give equal bytes.

    Figures that were drawn before (`draw`) are drawn again. `study` is the run's study; None if its package is not
    installed here. Raises StoreError if a table is missing or unreadable.
    """
    of = drawable(folder, study)
    write_beside(of)
    write_atomic(of.run.report_path, _page(of).encode())
    return of.run.report_path


def _page(of: Drawable) -> str:
    run, view, study, exhibits = of.run, of.view, of.study, of.exhibits
    words = view.names.study
    found = answers(run, view, study)
    mistakes = [asdict(each) for each in study.mistakes(run)] if study else []
    places = {answer.level: answer.anchor for answer in found if answer.level}
    return rendered(
        "page",
        _chart_data(view, exhibits) | {"places": places, "mistakes": mistakes},
        names=view.names.by_kind(),
        run=run.manifest,
        model=run.manifest.get("model", {}),
        spec=run.manifest.get("spec", {}),
        words=words,
        source=source(run.manifest),
        facts=card(run),
        methods=[
            *(study.methods(run.manifest) if study else []),
            *precision_methods(run.manifest),
            *chat_methods(run.manifest),
        ],
        has_curves=of.has_curves,
        exhibits=exhibits,
        lead=of.lead,
        first=headlines(overview(run.findings, study)),
        answers=found,
        advice=advice(run),
        rules=study.purposes if study else {},
        findings=run.findings.to_dicts(),
        peaks=_peak_rows(view),
        view=view,
        key=" ".join([*key(words), *controls_key(view)]),
        panel_key=panel_key(view),
        components_key=figures.COMPONENTS_KEY,
    )


def _chart_data(view: View, exhibits: Sequence[Exhibit]) -> dict[str, Any]:
    """Return the data for the page's script: chart specs, rows, and the choices of its switches."""
    look = lens(view, live=True)
    charts: dict[str, Any] = {
        "hero": hero(look),
        "heat": heat(look, width="container"),
        "panel": panel(look, 0),
        "components": components(look, 0),
    }
    for exhibit in exhibits:
        if exhibit.chart:
            chart = exhibit.chart(partial(theme.colour, live=True))
            charts[f"exhibit-{exhibit.name}"] = chart.configure(**theme.config(True))
    return {
        "specs": {name: chart.to_dict() for name, chart in charts.items()},
        "rows": {name: packed(table) for name, table in chart_rows(view).items()},
        "choices": view.choices,
        "defaults": view.defaults,
        "levels": view.levels,
        "shown": view.shown,
        "layers": view.layers,
        "limits": view.limits,
        "metrics": {code: view.names.metric.get(code, code) for code in view.choices["metric"]},
    }


def _peak_rows(view: View) -> list[dict[str, Any]]:
    """Return the peaks of the levels by their first metric, for the table."""
    levels = view.peaks.filter(pl.col("kind") == PartKind.LEVEL)
    order = [
        pl.col(kind).replace_strict({code: place for place, code in enumerate(codes)}, return_dtype=pl.Int64)
        for kind, codes in view.choices.items()
    ]
    ordered = levels.sort("part", *order, maintain_order=True)
    return ordered.unique(["part", "component", "method"], keep="first", maintain_order=True).to_dicts()
