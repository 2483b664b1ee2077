"""The page of a comparison: one self-contained file made of the comparison's tables alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from altair.utils.schemapi import debug_mode

from layeratlas.comparison import charts
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json, write_atomic
from layeratlas.data.levels import LEVELS
from layeratlas.report import figures
from layeratlas.report.names import reading_order
from layeratlas.report.shell import packed, rendered

_TABLES = ("curves", "differences", "similarity", "sizes", "quantities", "findings", "claims")
_FIRST = (
    "same hierarchy", "size threshold", "size", "family", "boundary spread", "boundary 1", "boundary 2", "brittleness",
    "peak depth", "peak value",
)  # fmt: skip
_HEADLINES, _A_KIND, _A_STUDY, _PAIRS = 14, 3, 7, 200
_READS = {
    "atlas": ["atlas", "peaks", "stretches"], "curves": ["curves"], "places": ["places"], "cka": ["cka"],
    "sizes": ["sizes"],
}  # fmt: skip
_STRETCHES = ("Local", "Intermediate", "Global")
_SHOWN_CLAIMS = ("claim", "says", "published", "here", "estimate", "lo", "hi", "p", "n", "verdict", "to decide it")


@dataclass(frozen=True)
class _Tables:
    """What a comparison's page may know."""

    folder: Path
    manifest: dict[str, Any]
    tables: dict[str, pl.DataFrame]

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.tables[name]

    @property
    def models(self) -> list[str]:
        """The models' names, by family and size."""
        rows = sorted(self.manifest["runs"], key=lambda r: (r["family"], r["parameters"] or 0, r["name"]))
        return list(dict.fromkeys(row["name"] for row in rows))


def build_comparison(folder: Path) -> Path:
    """Write `comparison.html` and `figures/` from a comparison's tables.

    Raises StoreError where a table is missing or cannot be read.
    """
    found = _load(Path(folder))
    rows = _rows(found)
    with debug_mode(False):
        _figures(found, rows)
        write_atomic(found.folder / "comparison.html", _page(found, rows).encode())
    return found.folder / "comparison.html"


def _load(folder: Path) -> _Tables:
    manifest = read_json(folder / "comparison.json")
    tables = {}
    for name in _TABLES:
        try:
            tables[name] = pl.read_parquet(folder / f"{name}.parquet", hive_partitioning=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(
                f"{folder / name}.parquet cannot be read ({reason})", "a whole file", "compare the runs again"
            ) from error
    return _Tables(folder, manifest, tables)


def _rows(found: _Tables) -> dict[str, pl.DataFrame]:
    """Return the rows that the charts read, by name."""
    curves = found["curves"]
    index = _index(curves)
    curves = curves.join(index, on=["study", "entry", "component"], maintain_order="left")
    cells = _cells(curves)
    pairs = found["similarity"]
    edges = []
    for near, low, high in (("depth_a", "low", "high"), ("depth_b", "left", "right")):
        half = 0.5 / (pl.col(near).n_unique().over("study", "model_a", "model_b") - 1).clip(1)
        edges += [(pl.col(near) - half).clip(-0.04).alias(low), (pl.col(near) + half).clip(None, 1.04).alias(high)]
    places = found["quantities"].filter(pl.col("quantity") == "peak depth", pl.col("component") == "resid")
    wanted = ["part", "entry", "model", "layer", "depth", "estimate", "lo", "hi", "chance"]
    made = {
        "curves": curves.select(wanted),
        "atlas": cells.drop("top"),
        "peaks": cells.filter("top").select("row", "depth"),
        "stretches": _stretches(found["quantities"]),
        "places": places.select("study", "model", "level", "estimate", "lo", "hi"),
        "cka": pairs.with_columns(*edges),
        "sizes": found["sizes"],
    }
    numbers = pl.selectors.float()
    return {
        name: table.with_columns(pl.when(numbers.is_finite()).then(numbers.round(5)).name.keep())
        for name, table in made.items()
    }


def _index(curves: pl.DataFrame) -> pl.DataFrame:
    """Return a number for each entry and component of each study, as they come."""
    return curves.select("study", "entry", "component").unique(maintain_order=True).with_row_index("part")


def _cells(curves: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of the map: whole levels, in the residual stream (or the first component there is)."""
    mine = curves.filter(pl.col("task") == "all")
    resid = (pl.col("component") == "resid").any().over("study", "entry")
    first = pl.col("component").first().over("study", "entry")
    mine = mine.filter(pl.col("component") == pl.when(resid).then(pl.lit("resid")).otherwise(first))
    own = ("study", "entry", "model")
    width = pl.col("depth").max().over(own) - pl.col("depth").min().over(own)
    half = 0.5 * width / (pl.col("depth").n_unique().over(own) - 1).clip(1)
    best = pl.col("estimate") == pl.col("estimate").max().over("study", "entry", "model")
    return mine.select(
        "model", "entry", "layer", "depth", "estimate", "lo", "hi", "chance", "shade",
        row=pl.col("model") + charts.MARK + pl.col("entry"),
        left=(pl.col("depth") - half).clip(-0.02), right=(pl.col("depth") + half).clip(None, 1.02),
        url=pl.lit("#c-") + pl.col("part").cast(pl.String), top=best & (pl.col("shade") > 0),
    )  # fmt: skip


def _stretches(quantities: pl.DataFrame) -> pl.DataFrame:
    """Return the three stretches of each model between its boundaries."""
    cuts = quantities.filter(pl.col("quantity").is_in(["boundary 1", "boundary 2"])).sort("quantity")
    rows = []
    for (model,), mine in cuts.group_by("model", maintain_order=True):
        ends = [0.0, *mine["estimate"].to_list()[:2], 1.0]
        for name, left, right in zip(_STRETCHES, ends, ends[1:], strict=False):
            row = f"{model}{charts.MARK}segments"
            rows.append({"model": model, "stretch": name, "left": left, "right": right, "row": row})
    names = dict.fromkeys(("model", "stretch", "row"), pl.String)
    return pl.DataFrame(rows, schema={**names, "left": pl.Float64, "right": pl.Float64})


def _order(found: _Tables, rows: dict[str, pl.DataFrame]) -> list[str]:
    """Return the rows of the map: each model's own, then its levels', then its segments'."""
    entries = rows["atlas"]["entry"].unique(maintain_order=True).to_list()
    entries = [*reading_order(entries, LEVELS), "segments"]
    known = {*rows["atlas"]["row"].to_list(), *rows["stretches"]["row"].to_list()}
    out = []
    for model in found.models:
        mine = [row for entry in entries if (row := f"{model}{charts.MARK}{entry}") in known]
        out += [model, *mine] if mine else []
    return out


def _figures(found: _Tables, rows: dict[str, pl.DataFrame]) -> None:
    data = {name: table.to_dicts() for name, table in rows.items()}
    order = _order(found, rows)
    made: dict[str, dict[str, Any]] = {}
    if order:
        made["atlas"] = charts.dressed(charts.atlas(order, False), False)
    if data["places"]:
        entries = reading_order(rows["places"]["level"].unique(maintain_order=True).to_list(), LEVELS)
        made["peaks"] = charts.dressed(charts.peaks(found.models, entries, False), False)
    if data["sizes"]:
        made["sizes"] = charts.dressed(
            charts.sizes(rows["sizes"]["level"].unique(maintain_order=True).to_list(), False), False
        )
        data["sizes"] = [row for row in data["sizes"] if row["where"] == "last"]
    kinds = {"atlas": "atlas", "peaks": "places", "sizes": "sizes"}
    for name, spec in made.items():
        figures.write(found.folder, name, spec, {n: data[n] for n in _READS[kinds[name]]})


def _page(found: _Tables, rows: dict[str, pl.DataFrame]) -> str:
    alone = len(found.models) == 1
    first, rest = (_told_by_study if alone else _headlines)(found["findings"])
    differences = found["differences"]
    told = differences.filter(pl.col("verdict") == "supported").sort("p").head(_PAIRS)
    return rendered(
        "comparing",
        _data(found, rows),
        manifest=found.manifest,
        models=found.models,
        alone=alone,
        runs=_runs(found),
        first=first,
        findings=[*first, *rest],
        parts=_parts(found["curves"]),
        mapped=bool(_order(found, rows)),
        placed=rows["places"]["study"].unique(maintain_order=True).to_list(),
        pairs=rows["cka"].select("study", "model_a", "model_b").unique(maintain_order=True).to_dicts(),
        series=rows["sizes"].select("study", "family", "where").unique(maintain_order=True).to_dicts(),
        differences=told.to_dicts(),
        all_differences=len(differences),
        claims=found["claims"].select(_SHOWN_CLAIMS),
    )


def _headlines(findings: pl.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the findings told first, decided ones before others and three of a kind at most, and the rest."""
    known = {name: i for i, name in enumerate(_FIRST)}
    rows = findings.to_dicts()
    rows.sort(key=lambda r: (r["verdict"] == "inconclusive", known.get(r["finding"], len(known))))
    told: list[dict[str, Any]] = []
    for row in rows:
        if len(told) < _HEADLINES and sum(one["finding"] == row["finding"] for one in told) < _A_KIND:
            told.append(row)
    return told, [row for row in rows if row not in told]


def _told_by_study(findings: pl.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return each study's first seven findings, decided before others and three of a kind at most, and the rest."""
    rows = findings.to_dicts()
    told: list[dict[str, Any]] = []
    for study in dict.fromkeys(row["study"] for row in rows):
        mine: list[dict[str, Any]] = []
        for row in sorted((r for r in rows if r["study"] == study), key=lambda r: r["verdict"] == "inconclusive"):
            if len(mine) < _A_STUDY and sum(one["finding"] == row["finding"] for one in mine) < _A_KIND:
                mine.append(row)
        told += mine
    return told, [row for row in rows if row not in told]


def _runs(found: _Tables) -> list[dict[str, Any]]:
    """Return the runs with the way from the page to their reports."""
    out = []
    for run in found.manifest["runs"]:
        report = Path(run["folder"]) / "report.html"
        link = os.path.relpath(report, found.folder.resolve()).replace(os.sep, "/") if report.exists() else ""
        out.append({**run, "link": link})
    return out


def _parts(curves: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the charts of curves, by study and component."""
    index = _index(curves).to_dicts()
    measures = curves.group_by("study", "entry", "component").agg(pl.col("metric").first()).rows()
    metric = {row[:3]: row[3] for row in measures}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in index:
        key = row["study"], row["component"]
        row["metric"] = metric[row["study"], row["entry"], row["component"]]
        groups.setdefault(key, []).append(row)
    out = []
    for (study, component), mine in groups.items():
        order = {name: i for i, name in enumerate(reading_order([row["entry"] for row in mine], LEVELS))}
        mine.sort(key=lambda row: order[row["entry"]])
        out.append({"study": study, "component": component, "charts": mine})
    return out


def _data(found: _Tables, rows: dict[str, pl.DataFrame]) -> dict[str, Any]:
    levels = reading_order(rows["places"]["level"].unique(maintain_order=True).to_list(), LEVELS)
    made = {
        "atlas": charts.atlas(_order(found, rows), True),
        "curves": charts.curves(found.models, True),
        "places": charts.peaks(found.models, levels, True),
        "cka": charts.cka(True),
        "sizes": charts.sizes(rows["sizes"]["level"].unique(maintain_order=True).to_list(), True),
    }
    return {
        "specs": {name: charts.dressed(chart, True) for name, chart in made.items()},
        "reads": _READS,
        "rows": {name: packed(table) for name, table in rows.items()},
    }
