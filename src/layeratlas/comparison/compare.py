"""compare(folders): the runs of several models to a comparison folder."""

from __future__ import annotations

import io
import re
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.comparison.cohort import Cohort, read_cohorts
from layeratlas.comparison.curves import stacked
from layeratlas.comparison.differences import difference_findings, differences
from layeratlas.comparison.models import quantity_table, read_models
from layeratlas.comparison.similarity import similarity
from layeratlas.comparison.sizes import family_findings, size_findings
from layeratlas.core import registry
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic, write_json
from layeratlas.core.progress import Progress
from layeratlas.core.spec import hash_of
from layeratlas.runs.claim import judgement_table
from layeratlas.runs.finding import FINDING_COLUMNS

MANIFEST = "comparison.json"
_FINDINGS: dict[str, Any] = {
    name: pl.Float64 if name in ("estimate", "lo", "hi", "p") else pl.Int64 if name == "n" else pl.String
    for name in FINDING_COLUMNS
}
_TABLES = ("curves", "quantities", "differences", "similarity", "sizes")


def compare(
    folders: Sequence[Path],
    out: Path | None = None,
    families: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Compare finished runs and return the comparison's folder, which an earlier comparison in it gives way to.

    `families` names families by a part of their models' names; `notes` are shown on the page. Runs of one model, each
    of another study, have nothing to compare: what they found is put side by side. Raises StoreError or SpecError, in
    one line with what to run again, where runs cannot be compared.
    """
    start, progress = time.perf_counter(), progress or Progress()
    cohorts = read_cohorts(folders, families)
    folder = out or default_folder(cohorts)
    _check_folder(folder)
    tables: dict[str, list[pl.DataFrame]] = {name: [] for name in _TABLES}
    findings: list[dict[str, Any]] = []
    notes = list(notes)
    with progress.stage("compare", len(cohorts)) as step:
        for cohort in cohorts:
            found, made, said = _of(cohort)
            findings += found
            notes += said
            for name in _TABLES:
                tables[name].append(made[name])
            step.advance()
    known = [registry.get("claims", name) for name in registry.names("claims")]
    whole = {name: pl.concat(parts) for name, parts in tables.items()}
    whole["findings"] = pl.DataFrame(findings, schema=_FINDINGS)
    whole["claims"] = judgement_table(known, [run for cohort in cohorts for run in cohort.runs])
    _write(folder, whole)
    write_json(folder / MANIFEST, _manifest(cohorts, notes))
    with progress.stage("report", 1) as step:
        from layeratlas.comparison.page import build_comparison

        build_comparison(folder)
        step.advance()
    record = _manifest(cohorts, notes) | {"seconds": round(time.perf_counter() - start, 2), "peak_memory_mb": _peak()}
    write_json(folder / MANIFEST, record | {"status": "complete"})
    return folder


def _write(folder: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    for name, table in tables.items():
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        write_atomic(folder / f"{name}.parquet", buffer.getvalue())


def _of(cohort: Cohort) -> tuple[list[dict[str, Any]], dict[str, pl.DataFrame], list[str]]:
    models = read_models(cohort)
    alike, maps, notes = similarity(cohort)
    table = differences(cohort.study, models)
    grown, sizes = size_findings(cohort.study, models)
    told = [*difference_findings(table, models), *alike, *grown, *family_findings(models)]
    findings = [asdict(f) | {"model": "all", "study": cohort.study} for f in told]
    if len(models) == 1:  # nothing to compare: the page tells what the run itself found
        findings = cohort.runs[0].main_findings.with_columns(model=pl.lit(cohort.names[0])).to_dicts()
    made = {"curves": stacked(cohort), "differences": table, "similarity": maps, "sizes": sizes}
    made["quantities"] = quantity_table(cohort.study, models)
    return findings, made, [f"{cohort.study}: {note}" for note in (*cohort.notes, *notes)]


def default_folder(cohorts: Sequence[Cohort]) -> Path:
    """Return `runs/compare-STUDY-MODELS`; of more than two models their number and a hash."""
    studies = "-".join(cohort.study for cohort in cohorts)
    names = list(dict.fromkeys(name for cohort in cohorts for name in cohort.names))
    models = "-".join(names) if len(names) <= 2 else f"{len(names)}-models-{hash_of(names)[:6]}"
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", f"compare-{studies}-{models}").strip("-").lower()


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists():
        raise StoreError(
            f"'{folder}' is not empty and holds no comparison",
            "a new folder or an earlier comparison",
            "choose another --out",
        )


def _peak() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _manifest(cohorts: Sequence[Cohort], notes: Sequence[str]) -> dict[str, Any]:
    """Return which runs were compared, and what sets them apart."""
    rows = []
    for cohort in cohorts:
        for name, run in zip(cohort.names, cohort.runs, strict=True):
            model = run.manifest["model"]
            kept = {
                k: model.get(k) for k in ("id", "revision", "layers", "width", "parameters", "dtype", "quantisation")
            }
            rows.append(
                {
                    "study": cohort.study, "name": name, "folder": str(run.folder.resolve()), "family": run.family,
                    "key": run.manifest.get("key"), "spec_hash": run.manifest.get("spec_hash"), **kept,
                }
            )  # fmt: skip
    first = cohorts[0].runs[0].manifest
    return {
        "format": 1,
        "status": "running",
        "key": hash_of([[row["study"], row["name"], row["family"], row["key"]] for row in rows]),
        "layeratlas": version("layeratlas"),
        "studies": [cohort.study for cohort in cohorts],
        "size": first["spec"]["size"],
        "texts": {cohort.study: cohort.runs[0].manifest.get("texts") for cohort in cohorts},
        "versions": first.get("versions", {}),
        "notes": list(notes),
        "runs": rows,
    }
