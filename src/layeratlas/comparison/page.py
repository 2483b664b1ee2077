"""The page of a comparison: one self-contained file, built from the comparison's tables alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.comparison import charts
from layeratlas.comparison.finished import FinishedComparison
from layeratlas.comparison.headlines import headlines, headlines_by_study, leading
from layeratlas.comparison.map_chart import atlas
from layeratlas.comparison.rows import (
    chart_rows,
    curve_groups,
    map_order,
    placed_levels,
    segment_names,
    sized_levels,
    trained_levels,
)
from layeratlas.core import formatting, registry
from layeratlas.core.errors import SpecError
from layeratlas.core.files import write_atomic
from layeratlas.report import figures
from layeratlas.report.advice import by_subject
from layeratlas.report.lead import headlines as in_brief
from layeratlas.report.shell import packed, rendered
from layeratlas.runs.recommendation import from_records
from layeratlas.stats.scaling import Where

Rows = dict[str, pl.DataFrame]
# The rows that each chart reads.
_READS = {
    "atlas": ["atlas", "peaks", "marks", "segments"],
    "curves": ["curves"],
    "places": ["places"],
    "cka": ["cka"],
    "sizes": ["sizes"],
    "training": ["training"],
}
_PAIRS = 200
_NAMED = 3
_CLAIM_COLUMNS = ("claim", "says", "published", "here", "estimate", "lo", "hi", "p", "n", "verdict", "to decide it")


def build_comparison(folder: Path) -> Path:
    """Write `comparison.html` and `figures/` from a comparison's tables, and return the page's path.

    Raises StoreError, before drawing anything, if a table is missing, damaged or unreadable.
    """
    comparison = FinishedComparison(folder)
    comparison.verify()
    rows = chart_rows(comparison)
    _write_figures(comparison, rows)
    write_atomic(comparison.page_path, _page(comparison, rows).encode())
    return comparison.page_path


def _write_figures(comparison: FinishedComparison, rows: Rows) -> None:
    """Draw the map, the peaks and the last layer's values by size, as far as they have rows."""
    specs: dict[str, dict[str, Any]] = {}
    if order := map_order(comparison, rows):
        specs["atlas"] = charts.dressed(atlas(order, segment_names(comparison), False), False)
    if levels := placed_levels(comparison, rows):
        specs["peaks"] = charts.dressed(charts.peaks(comparison.models, levels, False), False)
    if levels := sized_levels(rows):
        specs["sizes"] = charts.dressed(charts.sizes(levels, False), False)
    data = rows | {"sizes": rows["sizes"].filter(pl.col("where") == Where.LAST)}
    if panels := _trainings(rows):
        titled = [(f"{where['series']}: {where['quantity']}", where) for where in panels]
        specs["training"] = charts.dressed(charts.training_grid(titled, trained_levels(comparison, rows)), False)
    chart_of = {"atlas": "atlas", "peaks": "places", "sizes": "sizes", "training": "training"}
    for name, spec in specs.items():
        figures.write(comparison.folder, name, spec, {read: data[read].to_dicts() for read in _READS[chart_of[name]]})


def _page(comparison: FinishedComparison, rows: Rows) -> str:
    one_model = len(comparison.models) == 1
    first, rest = (headlines_by_study if one_model else headlines)(comparison.findings)
    differ = comparison.differences.filter(pl.col("verdict") == "supported").sort("p").head(_PAIRS)
    return rendered(
        "comparing",
        _chart_data(comparison, rows),
        manifest=comparison.manifest,
        models=comparison.models,
        alone=one_model,
        runs=_runs(comparison),
        lead=leading(comparison.findings) if one_model else in_brief(first),
        facts=_card(comparison),
        source=_source(comparison),
        advice=by_subject(from_records(comparison.manifest.get("recommendations", []))),
        rules=_rules(comparison),
        first=first,
        findings=[*first, *rest],
        parts=curve_groups(comparison),
        mapped=bool(map_order(comparison, rows)),
        marked=not comparison.marks.is_empty(),
        segments=segment_names(comparison),
        placed=rows["places"]["study"].unique(maintain_order=True).to_list(),
        pairs=rows["cka"].select("study", "model_a", "model_b").unique(maintain_order=True).to_dicts(),
        series=rows["sizes"].select("study", "family", "where").unique(maintain_order=True).to_dicts(),
        trainings=_trainings(rows),
        differences=differ.to_dicts(),
        all_differences=len(comparison.differences),
        claims=comparison.claims.select(_CLAIM_COLUMNS),
    )


def _trainings(rows: Rows) -> list[dict[str, str]]:
    """Return the list of charts over training: one per study, training and quantity."""
    return rows["training"].select("study", "series", "quantity").unique(maintain_order=True).to_dicts()


def _card(comparison: FinishedComparison) -> list[tuple[str, str]]:
    """Return the description of the models and runs, as (heading, text)."""
    runs, manifest = comparison.manifest["runs"], comparison.manifest
    first = runs[0]
    about = [
        ("Model", f"{formatting.cell(first['layers'])} blocks, width {formatting.cell(first['width'])}"),
        ("Parameters", formatting.size(first["parameters"])),
    ]
    many = [("Models", str(len(comparison.models)))]
    shared = [("Studies", ", ".join(manifest["studies"])), ("Size", manifest["size"])]
    return [*(about if len(comparison.models) == 1 else many), *shared]


def _source(comparison: FinishedComparison) -> str:
    """Return the source note for copied numbers."""
    named = ", ".join(comparison.models[:_NAMED]) + (" and others" if len(comparison.models) > _NAMED else "")
    return f"{named}, size {comparison.manifest['size']}, Layer Atlas {comparison.manifest['layeratlas']}"


def _rules(comparison: FinishedComparison) -> dict[str, str]:
    """Return the rules by which the installed studies choose a layer, by purpose."""
    rules: dict[str, str] = {}
    for name in comparison.manifest["studies"]:
        with suppress(SpecError):
            rules |= registry.get("studies", name).purposes
    return rules


def _runs(comparison: FinishedComparison) -> list[dict[str, Any]]:
    """Return the runs, each with the path from the page to its report (empty if it has none)."""
    runs = []
    for run in comparison.manifest["runs"]:
        report = Path(run["folder"]) / "report.html"
        link = os.path.relpath(report, comparison.folder.resolve()).replace(os.sep, "/") if report.exists() else ""
        runs.append({**run, "link": link})
    return runs


def _chart_data(comparison: FinishedComparison, rows: Rows) -> dict[str, Any]:
    """Return the charts' specs, the rows that each reads, and the rows themselves."""
    specs = {
        "atlas": atlas(map_order(comparison, rows), segment_names(comparison), True),
        "curves": charts.curves(comparison.models, True),
        "places": charts.peaks(comparison.models, placed_levels(comparison, rows), True),
        "cka": charts.cka(True),
        "sizes": charts.sizes(sized_levels(rows), True),
        "training": charts.training(trained_levels(comparison, rows), True),
    }
    return {
        "specs": {name: charts.dressed(chart, True) for name, chart in specs.items()},
        "reads": _READS,
        "rows": {name: packed(table) for name, table in rows.items()},
    }
