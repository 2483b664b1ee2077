"""compare(folders): combines finished runs of several models into a comparison folder."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.comparison.claims import judge_claims
from layeratlas.comparison.cohort import Cohort, read_cohorts
from layeratlas.comparison.curves import stacked
from layeratlas.comparison.differences import difference_findings, differences
from layeratlas.comparison.families import family_findings
from layeratlas.comparison.kinds import tested
from layeratlas.comparison.models import quantity_table, read_models
from layeratlas.comparison.overview import Line, overview
from layeratlas.comparison.similarity import similarity
from layeratlas.comparison.sizes import SCHEMA as SIZES
from layeratlas.comparison.sizes import size_findings
from layeratlas.comparison.training import Trained, follow_findings, over_training
from layeratlas.core.checksums import digest_of, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.files import COMPARISON
from layeratlas.core.processes import peak_memory
from layeratlas.core.progress import Progress
from layeratlas.core.spec import hash_of
from layeratlas.core.versions import version_of
from layeratlas.report.advice import kept
from layeratlas.report.overview import main_findings
from layeratlas.runs.finding import Finding
from layeratlas.runs.finding_table import REPORT_SCHEMA, finding_table, with_later_columns
from layeratlas.runs.recommendation import as_records
from layeratlas.runs.tables import write_parquet

_SEGMENTS: dict[str, Any] = {
    "study": pl.String,
    "model": pl.String,
    "segment": pl.String,
    "left": pl.Float64,
    "right": pl.Float64,
}
_MARKS: dict[str, Any] = {
    "study": pl.String,
    "model": pl.String,
    "entry": pl.String,
    "layer": pl.Int64,
    "depth": pl.Float64,
    "meaning": pl.String,
    "size": pl.Float64,
}
# The study whose levels are decoded by probes, and the one whose levels are answered by exits.
_LEVELS, _ANSWERS = "hierarchy", "exits"
_MODEL_FIELDS = ("id", "revision", "layers", "width", "parameters", "dtype", "quantisation")


def compare(
    folders: Sequence[Path],
    out: Path | None = None,
    families: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    notes: Sequence[str] = (),
    steps: Mapping[int, str] | None = None,
) -> Path:
    """Compare finished runs and return the comparison's folder; an earlier comparison in it is replaced.

    `families` and `steps` assign families and training steps to models by a substring of their names; `notes` are shown
    on the page. The last checkpoint of a training is the model that is compared with others; all its checkpoints form
    the axis of training. Runs of a single model in different studies are not compared; their findings are put side by
    side. Raises StoreError or SpecError, with what to run again, if runs cannot be compared.
    """
    start, progress = time.perf_counter(), progress or Progress()
    cohorts = read_cohorts(folders, families, steps)
    for note in (note for cohort in cohorts for note in cohort.twins):
        progress.note(note)
    folder = out or default_folder(cohorts)
    _check_folder(folder)
    results = []
    with progress.stage("compare", len(cohorts)) as step:
        for cohort in cohorts:
            results.append(_compared(cohort))
            step.advance()
    tables = {name: pl.concat([result.tables[name] for result in results]) for name in results[0].tables}
    tables["findings"] = pl.concat([_followed(cohorts, results), tables["findings"]])
    tables["claims"] = judge_claims([run for cohort in cohorts for run in cohort.final.runs])
    for name, table in tables.items():
        write_parquet(folder / f"{name}.parquet", table)
    manifest = _manifest(cohorts, [*notes, *(note for result in results for note in result.notes)])
    manifest["overview"] = [line._asdict() for result in results for line in result.overview]
    manifest["sha256"] = {f"{name}.parquet": digest_of(folder / f"{name}.parquet") for name in tables}
    write_sealed(folder / COMPARISON, manifest)
    with progress.stage("report", 1) as step:
        from layeratlas.comparison.page import build_comparison

        build_comparison(folder)
        step.advance()
    spent = {"seconds": round(time.perf_counter() - start, 2), "peak_memory_mb": peak_memory()}
    write_sealed(folder / COMPARISON, manifest | spent | {"status": "complete"})
    return folder


@dataclass(frozen=True, kw_only=True)
class _Compared:
    """The tables of one study's runs, and what the page notes about them."""

    tables: Mapping[str, pl.DataFrame]
    notes: Sequence[str]
    trained: Trained
    overview: Sequence[Line]


def _compared(cohort: Cohort) -> _Compared:
    every, final = read_models(cohort), cohort.final
    trained = over_training(cohort, every)
    models = [model for model in every if model.name in final.names]
    maps, notes = similarity(final)
    table = differences(cohort.study, models)
    grown, sizes = size_findings(final, models) if len(models) > 1 else ([], pl.DataFrame(schema=SIZES))
    of_family = family_findings(final, models) if len(models) > 1 else []
    findings = [*trained.findings, *difference_findings(table, models), *grown, *of_family]
    if len(every) > 1:
        shown = _table(findings, cohort.study)
    else:  # nothing to compare: the page shows the run's own findings
        own = main_findings(cohort.runs[0].findings, cohort.plugin)
        shown = own.with_columns(model=pl.lit(cohort.names[0]))
        shown = with_later_columns(shown).select(pl.col(name).cast(kind) for name, kind in REPORT_SCHEMA.items())
    return _Compared(
        tables={
            "curves": stacked(cohort),
            "quantities": quantity_table(cohort.study, every),
            "training": trained.table,
            "differences": table,
            "similarity": maps,
            "sizes": sizes,
            "segments": _segment_table(cohort),
            "marks": _mark_table(cohort),
            "findings": shown,
        },
        notes=[f"{cohort.study}: {note}" for note in (*cohort.twins, *cohort.notes, *notes)],
        trained=trained,
        overview=overview(final, models, shown, table),
    )


def _followed(cohorts: Sequence[Cohort], results: Sequence[_Compared]) -> pl.DataFrame:
    """Return whether answers follow levels in training, if both studies were run on the same checkpoints."""
    of = {cohort.study: result.trained for cohort, result in zip(cohorts, results, strict=True)}
    both = _LEVELS in of and _ANSWERS in of
    return _table(follow_findings(of[_LEVELS], of[_ANSWERS]) if both else [], _ANSWERS)


def _table(findings: Sequence[Finding], study: str) -> pl.DataFrame:
    return finding_table(findings, "all", study, {one.finding: tested(one.finding) for one in findings})


def _segment_table(cohort: Cohort) -> pl.DataFrame:
    """Return one row per model and segment, in order of depth."""
    rows = [
        {"study": cohort.study, "model": name, "segment": segment.name, "left": segment.left, "right": segment.right}
        for name, run in zip(cohort.names, cohort.runs, strict=True)
        for segment in cohort.plugin.segments_of(run)
    ]
    return pl.DataFrame(rows, schema=_SEGMENTS)


def _mark_table(cohort: Cohort) -> pl.DataFrame:
    """Return one row per model and mark on the rows of its levels."""
    rows = [
        {"study": cohort.study, "model": name, "entry": cohort.row_of(mark.level), **asdict(mark)}
        for name, run in zip(cohort.names, cohort.runs, strict=True)
        for mark in cohort.plugin.marks_of(run)
    ]
    return pl.DataFrame(rows, schema=_MARKS)


def default_folder(cohorts: Sequence[Cohort]) -> Path:
    """Return `runs/compare-STUDY-MODELS`; with more than two models, their number and a hash."""
    studies = "-".join(cohort.study for cohort in cohorts)
    names = list(dict.fromkeys(name for cohort in cohorts for name in cohort.names))
    models = "-".join(names) if len(names) <= 2 else f"{len(names)}-models-{hash_of(names)[:6]}"
    return Path("runs") / re.sub(r"[^A-Za-z0-9.]+", "-", f"compare-{studies}-{models}").strip("-").lower()


def _check_folder(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / COMPARISON).exists():
        raise StoreError(
            f"'{folder}' is not empty and holds no comparison",
            "a new folder or an earlier comparison",
            "choose another --out",
        )


def _manifest(cohorts: Sequence[Cohort], notes: Sequence[str]) -> dict[str, Any]:
    """Return the manifest: the compared runs, their differences, and the words for their levels."""
    runs = [row for cohort in cohorts for row in _run_rows(cohort)]
    first = cohorts[0].runs[0].manifest
    return {
        "format": 1,
        "status": "running",
        "key": hash_of([[run["study"], run["name"], run["family"], run["key"]] for run in runs]),
        "layeratlas": version_of("layeratlas"),
        "studies": [cohort.study for cohort in cohorts],
        "size": first["spec"]["size"],
        "texts": {cohort.study: cohort.runs[0].manifest.get("texts") for cohort in cohorts},
        "versions": first.get("versions", {}),
        "levels": _level_words(cohorts),
        "notes": list(notes),
        "recommendations": _recommendations(cohorts),
        "runs": runs,
    }


def _level_words(cohorts: Sequence[Cohort]) -> dict[str, str]:
    """Return the words for the names of levels, as rows have them, in reading order; the first study names a level."""
    words: dict[str, str] = {}
    for cohort in cohorts:
        words |= {row: word for code, word in cohort.level_words.items() if (row := cohort.row_of(code)) not in words}
    return words


def _recommendations(cohorts: Sequence[Cohort]) -> list[dict[str, Any]]:
    """Return the recommendations of the runs of a single model, with levels named as rows; empty for several models."""
    if any(len(cohort.runs) > 1 for cohort in cohorts):
        return []
    return [
        record | {"level": cohort.row_of(record["level"])}
        for cohort in cohorts
        for record in as_records(kept(cohort.runs[0]))
    ]


def _run_rows(cohort: Cohort) -> list[dict[str, Any]]:
    rows = []
    for name, run in zip(cohort.names, cohort.runs, strict=True):
        about = {
            "study": cohort.study,
            "name": name,
            "folder": str(run.folder.resolve()),
            "family": run.family,
            "key": run.manifest.get("key"),
            "spec_hash": run.manifest.get("spec_hash"),
            "checkpoint": run.checkpoint and run.checkpoint._asdict(),
        }
        rows.append(about | {field: run.manifest["model"].get(field) for field in _MODEL_FIELDS})
    return rows
