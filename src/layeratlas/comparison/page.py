"""The page of a comparison: one self-contained file, and its charts as files, built from its tables alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite, nan
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
    trained_places,
)
from layeratlas.core import formatting, registry
from layeratlas.core.errors import SpecError
from layeratlas.core.files import write_atomic
from layeratlas.report import figures
from layeratlas.report.advice import by_subject
from layeratlas.report.lead import headlines as in_brief
from layeratlas.report.shell import packed, rendered
from layeratlas.runs.claim import others_in_words, rested
from layeratlas.runs.recommendation import from_records
from layeratlas.stats.scaling import Where

Rows = dict[str, pl.DataFrame]
# The figure that stands for a comparison in lists; it is drawn with every page.
MAP = "atlas"
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
    """Write `comparison.html` and the map beside it from a comparison's tables, and return the page's path.

    Figures that were drawn before (`draw_comparison`) are drawn again. Raises StoreError, before drawing anything, if a
    table is missing, damaged or unreadable.
    """
    comparison = FinishedComparison(folder)
    comparison.verify()
    rows = chart_rows(comparison)
    if figures.are_drawn(folder):
        _write_figures(comparison, rows)
    else:
        for name, chart, data in _figures(comparison, rows):
            if name == MAP:
                figures.write_svg(folder, name, figures.svg(chart, data))
    write_atomic(comparison.page_path, _page(comparison, rows).encode())
    return comparison.page_path


def draw_comparison(folder: Path) -> Path:
    """Write every figure of a comparison as SVG and PNG, and return their folder; errors of `build_comparison`."""
    comparison = FinishedComparison(folder)
    comparison.verify()
    _write_figures(comparison, chart_rows(comparison))
    return folder / figures.FOLDER


def _write_figures(comparison: FinishedComparison, rows: Rows) -> None:
    for figure in _figures(comparison, rows):
        figures.write(comparison.folder, *figure)


def _figures(comparison: FinishedComparison, rows: Rows) -> Iterator[tuple[str, dict[str, Any], figures.Rows]]:
    """Yield each figure that has rows: its name, chart and rows; the map, the peaks, last layers by size, training."""
    specs: dict[str, dict[str, Any]] = {}
    if order := map_order(comparison, rows):
        specs[MAP] = charts.dressed(atlas(order, segment_names(comparison), False), False)
    if levels := placed_levels(comparison, rows):
        specs["peaks"] = charts.dressed(charts.peaks(comparison.shown, levels, False), False)
    if levels := sized_levels(rows):
        specs["sizes"] = charts.dressed(charts.sizes(levels, False), False)
    data = rows | {"sizes": rows["sizes"].filter(pl.col("where") == Where.LAST)}
    if panels := _trainings(rows):
        grid = charts.training_grid(_titled(panels), trained_levels(comparison, rows), trained_places(rows))
        specs["training"] = charts.dressed(grid, False)
    chart_of = {MAP: "atlas", "peaks": "places", "sizes": "sizes", "training": "training"}
    for name, spec in specs.items():
        yield name, spec, {read: data[read].to_dicts() for read in _READS[chart_of[name]]}


def _page(comparison: FinishedComparison, rows: Rows) -> str:
    one_model = len(comparison.models) == 1
    first, rest = (headlines_by_study if one_model else headlines)(comparison.findings)
    runs, (judged, others) = _runs(comparison), rested(comparison.claims)
    differ = comparison.differences.filter(pl.col("verdict") == "supported").sort("p").head(_PAIRS)
    return rendered(
        "comparing",
        _chart_data(comparison, rows),
        manifest=comparison.manifest,
        models=comparison.shown,
        subjects=comparison.subjects,
        alone=one_model,
        runs=runs,
        lead=leading(comparison.findings) if one_model else in_brief(_beyond_overview(comparison, first)),
        overview=comparison.overview,
        facts=_card(comparison),
        source=_source(comparison),
        advice=by_subject(
            from_records(comparison.manifest.get("recommendations", [])), comparison.manifest.get("levels", {})
        ),
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
        claims=judged.select(_CLAIM_COLUMNS),
        other_claims=others_in_words(len(others)),
    )


def _beyond_overview(comparison: FinishedComparison, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings that the overview does not restate: without differences, and what could not be measured."""
    told = {*comparison.differences["quantity"]} if comparison.overview else set()
    return [row for row in rows if row["finding"] not in told and (not told or isfinite(row["estimate"] or nan))]


def _trainings(rows: Rows) -> list[dict[str, str]]:
    """Return the list of charts over training: by study, then by quantity, with the trainings side by side."""
    panels = rows["training"].select("study", "quantity", "series").unique(maintain_order=True).to_dicts()
    known = {name: list(dict.fromkeys(panel[name] for panel in panels)) for name in ("study", "quantity", "series")}
    return sorted(panels, key=lambda panel: [known[name].index(panel[name]) for name in known])


def _titled(panels: list[dict[str, str]]) -> list[list[tuple[str, dict[str, str]]]]:
    """Return the charts over training with their headings: rows of one quantity, or of one training if it is alone."""
    many = {name: len({panel[name] for panel in panels}) > 1 for name in ("study", "series")}
    lines: dict[tuple[str, str], list[tuple[str, dict[str, str]]]] = {}
    for panel in panels:
        heading = f"{panel['series']}: {panel['quantity']}" + (f" ({panel['study']})" if many["study"] else "")
        lines.setdefault((panel["study"], panel["quantity"] if many["series"] else ""), []).append((heading, panel))
    return list(lines.values())


def _card(comparison: FinishedComparison) -> list[tuple[str, str]]:
    """Return the description of the models and runs, as (heading, text)."""
    runs, manifest = comparison.manifest["runs"], comparison.manifest
    first = runs[0]
    about = [
        ("Model", f"{formatting.cell(first['layers'])} blocks, width {formatting.cell(first['width'])}"),
        ("Parameters", formatting.size(first["parameters"])),
    ]
    checkpoints = len(comparison.models) > len(comparison.subjects)
    many = [("Models", str(len(comparison.subjects)))]
    many += [("Checkpoints", str(len(comparison.models)))] if checkpoints else []
    shared = [("Studies", ", ".join(manifest["studies"])), ("Size", manifest["size"])]
    return [*(about if len(comparison.models) == 1 else many), *shared]


def _source(comparison: FinishedComparison) -> str:
    """Return the source note for copied numbers."""
    names = comparison.subjects
    named = ", ".join(names[:_NAMED]) + (" and others" if len(names) > _NAMED else "")
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
        "curves": charts.curves(comparison.shown, True),
        "places": charts.peaks(comparison.shown, placed_levels(comparison, rows), True),
        "cka": charts.cka(True),
        "sizes": charts.sizes(sized_levels(rows), True),
        "training": charts.training(trained_levels(comparison, rows), trained_places(rows), True),
    }
    return {
        "specs": {name: charts.dressed(chart, True) for name, chart in specs.items()},
        "reads": _READS,
        "rows": {name: packed(table) for name, table in rows.items()},
    }
