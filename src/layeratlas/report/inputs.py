"""Checks the run of a report; a missing file, column or number raises a one-line error that says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.errors import StoreError
from layeratlas.runs.finding_table import REPORT_SCHEMA, with_later_columns
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.manifest import CURVES, FINDINGS, MANIFEST
from layeratlas.runs.tables import CONTROL_SCHEMA, CURVE_SCHEMA, read_table, with_controls

_FORMAT = 1
_RESTORE = "run the study again, or restore the file"


def checked_run(folder: Path) -> FinishedRun:
    """Return the run in a folder with its tables checked; raises StoreError if a file is missing or unreadable."""
    if not folder.is_dir():
        raise StoreError(f"no run folder at '{folder}'", f"a folder with {MANIFEST}", "check the path")
    manifest = _manifest(folder / MANIFEST)
    FinishedRun(folder).verify()
    curves, findings = (read_table(folder / name, _RESTORE) for name in (CURVES, FINDINGS))
    return FinishedRun(
        folder,
        manifest=manifest,
        curves=checked_curves(curves, str(folder / CURVES)),
        findings=_typed(with_later_columns(findings), REPORT_SCHEMA, str(folder / FINDINGS)),
    )


def checked_curves(table: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return one model's curves with all columns of a curve table; raises StoreError, which names `source`."""
    table = _typed(with_controls(table), CURVE_SCHEMA | CONTROL_SCHEMA, source)
    if table.is_empty():
        raise StoreError(f"{source} holds no rows", "at least one curve", _RESTORE)
    models = table["model"].unique(maintain_order=True).to_list()
    if len(models) > 1:
        raise StoreError(
            f"{source} holds {len(models)} models ({', '.join(map(str, models[:3]))})",
            "one model per run",
            "use 'layeratlas compare' for several",
        )
    if table.filter(pl.col("estimate").is_finite()).is_empty():
        raise StoreError(f"{source} holds no finite estimate", "numbers", _RESTORE)
    return table


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StoreError(f"no {path.name} in '{path.parent}'", "the folder of a run", "check the path or run the study")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise StoreError(f"{path} cannot be read as JSON ({error})", "a run's manifest", _RESTORE) from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds a {type(value).__name__}", "a JSON object", _RESTORE)
    if value.get("format") != _FORMAT:
        raise StoreError(
            f"{path} has format {value.get('format')!r}", f"format {_FORMAT}", "rebuild with a matching version"
        )
    return value


def _typed(table: pl.DataFrame, schema: Mapping[Any, Any], source: str) -> pl.DataFrame:
    missing = [name for name in schema if name not in table.columns]
    if missing:
        raise StoreError(f"{source} lacks the columns {', '.join(missing)}", ", ".join(schema), _RESTORE)
    try:
        return table.select(schema.keys()).cast(schema)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise StoreError(
            f"{source} has a column of the wrong type ({reason})", "numbers and names", _RESTORE
        ) from error
