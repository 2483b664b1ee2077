"""The page: one self-contained file made of a run's tables alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from altair.utils.schemapi import debug_mode

from layeratlas.core.files import write_atomic
from layeratlas.report import charts, figures, inputs, theme
from layeratlas.report.lens import lens
from layeratlas.report.shell import packed, rendered
from layeratlas.report.view import View, prepare
from layeratlas.runs.study import PROBED, Exhibit, Study

_FIRST = ("peak", "order", "deep content", "deep compression", "coordination", "second peak", "decline", "surface")
_MANY = 20
_ASIDE = ("decline", "surface", "second peak", "anti-persistence", "last exit", "last against best", "ablation")
_STRIKING = ("second peak", "supported")


def build(run_dir: Path, study: Study | None) -> Path:
    """Write `report.html` and `figures/` of a run from its manifest and tables; the same tables give the same bytes.

    `study` is the run's; None where it belongs to a package that is not installed here.

    Raises StoreError where a table is missing or cannot be read.
    """
    found = inputs.load(Path(run_dir))
    words = study.words if study else PROBED
    view = prepare(found.curves, found.run.get("model", {}).get("layers"), words)
    exhibits = study.exhibits(Path(run_dir)) if study else []
    # Altair checks every object against the whole schema as it is made, which took most of a report's time. The
    # charts are the same ones that the tests draw with the checks on.
    with debug_mode(False):
        _write_figures(Path(run_dir), view, exhibits, study is None or study.curves)
        write_atomic(Path(run_dir) / "report.html", _page(found, view, study, exhibits).encode())
    return Path(run_dir) / "report.html"


def _write_figures(run_dir: Path, view: View, exhibits: list[Exhibit], curves: bool) -> None:
    for name, (chart, chosen) in figures.static(view).items() if curves else ():
        figures.write(run_dir, name, chart, figures.rows(view, chosen))
    for one in exhibits:
        if one.chart:
            figures.write(run_dir, one.name, figures.fixed(one), {})


def _page(found: inputs.Inputs, view: View, study: Study | None, exhibits: list[Exhibit]) -> str:
    return rendered(
        "page",
        _data(view, exhibits),
        run=found.run,
        model=found.run.get("model", {}),
        spec=found.run.get("spec", {}),
        says=view.words,
        methods=study.methods(found.run) if study else [],
        drawn=study is None or study.curves,
        exhibits=exhibits,
        charts=[one.name for one in exhibits if one.chart],
        first=_headline(found.findings, study is None or study.curves),
        findings=found.findings.to_dicts(),
        peaks=_peak_rows(view),
        view=view,
        panels={kind: _codes(view, kind) for kind in ("task", "stratum")},
        key=" ".join(figures.key(view.words)).removesuffix(" Below: peaks and their ranges."),
    )


def _data(view: View, exhibits: list[Exhibit]) -> dict[str, Any]:
    """Return what the script reads: chart specs, and rows as columns so that names are written once."""
    look = lens(view, live=True)
    specs: dict[str, Any] = {
        "hero": charts.hero(look),
        "heat": charts.heat(look, width="container"),
        "panel": charts.panel(look, 0),
        "components": charts.components(look, 0),
    }
    rows = {name: packed(table) for name, table in charts.rows_for(view).items()}
    choices = {"choices": view.choices, "defaults": view.defaults, "levels": view.levels, "shown": view.shown}
    own = [one.chart(partial(theme.colour, live=True)).configure(**theme.config(True)) for one in exhibits if one.chart]
    specs |= {f"exhibit-{i}": chart for i, chart in enumerate(own)}
    # `<` never stands in the page's JSON, so that no name can end the script element.
    return {"specs": {n: c.to_dict(validate=False) for n, c in specs.items()}, "rows": rows, **choices}


def _codes(view: View, kind: str) -> list[dict[str, Any]]:
    """Return the small charts of a kind; a level's only task is the level itself and needs none."""
    parts = view.of(kind)
    alone = {p.level for p in parts if kind == "task" and sum(q.level == p.level for q in parts) == 1}
    return [{"code": p.code, "level": p.level, "label": p.label} for p in parts if p.level not in alone]


def _headline(findings: pl.DataFrame, probed: bool) -> list[dict[str, Any]]:
    """Return the findings of the first probe on the residual stream (or the first component there is), peaks first.

    Of many, the details of single curves are left to the table of all findings. A study that probes nothing has all
    its findings here, in their own order.
    """
    if findings.is_empty() or not probed:
        return findings.to_dicts()
    methods = findings["method"].to_list()
    components = findings["component"].to_list()
    component = "resid" if "resid" in components else components[0]
    rows = findings.filter(pl.col("method") == methods[0], pl.col("component") == component).to_dicts()
    if len(rows) > _MANY:
        rows = [r for r in rows if r["finding"] not in _ASIDE or (r["finding"], r["verdict"]) == _STRIKING]
    known = {name: i for i, name in enumerate(_FIRST)}
    return sorted(rows, key=lambda row: known.get(row["finding"], len(known)))


def _peak_rows(view: View) -> list[dict[str, Any]]:
    """Return the peaks of the levels on their own first measure, for the table."""
    levels = view.peaks.filter(pl.col("kind") == "level")
    order = [
        pl.col(kind).replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
        for kind, names in view.choices.items()
    ]
    keep = levels.sort("part", *order, maintain_order=True)
    return keep.unique(["part", "component", "method"], keep="first", maintain_order=True).to_dicts()
