"""Read the three files that a report is made of, and trust nothing in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from layeratlas.core.errors import StoreError
from layeratlas.runs.finding import FINDING_COLUMNS
from layeratlas.runs.tables import CURVE_KEYS, CURVE_VALUES

_REBUILD = "run the study again, or restore the file"
_NUMBERS = {"depth", "p", *CURVE_VALUES}


@dataclass(frozen=True)
class Inputs:
    """What a report may know: the manifest, the curves and the findings of one run."""

    run: dict[str, Any]
    curves: pl.DataFrame
    findings: pl.DataFrame


def load(folder: Path) -> Inputs:
    """Read and check a run folder; raises StoreError, in one line, where a file is missing or unreadable."""
    if not folder.is_dir():
        raise StoreError(f"no run folder at '{folder}'", "a folder with run.json", "check the path")
    run = _manifest(folder / "run.json")
    curves = check_curves(_table(folder / "curves.parquet"), str(folder / "curves.parquet"))
    findings = _typed(_table(folder / "findings.parquet"), FINDING_COLUMNS, str(folder / "findings.parquet"))
    return Inputs(run, curves, findings)


def check_curves(table: pl.DataFrame, where: str) -> pl.DataFrame:
    """Return the curves of one model with their columns in order and typed; raises StoreError otherwise."""
    table = _typed(table, (*CURVE_KEYS, *CURVE_VALUES), where)
    if table.is_empty():
        raise StoreError(f"{where} holds no rows", "at least one curve", _REBUILD)
    models = table["model"].unique(maintain_order=True).to_list()
    if len(models) > 1:
        raise StoreError(
            f"{where} holds {len(models)} models ({', '.join(map(str, models[:3]))})",
            "one model per run",
            "use 'layeratlas compare' for several",
        )
    if table.filter(pl.col("estimate").is_finite()).is_empty():
        raise StoreError(f"{where} holds no finite estimate", "numbers", _REBUILD)
    return table


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise StoreError(f"no run.json in '{path.parent}'", "the folder of a run", "check the path or run the study")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise StoreError(f"{path} cannot be read as JSON ({error})", "a run's manifest", _REBUILD) from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} holds a {type(value).__name__}", "a JSON object", _REBUILD)
    if value.get("format") != 1:
        raise StoreError(f"{path} has format {value.get('format')!r}", "format 1", "rebuild with a matching version")
    return value


def _table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise StoreError(f"no {path.name} in '{path.parent}'", "a run whose analysis is finished", "finish the run")
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path} cannot be read as Parquet ({reason})", "a whole file", _REBUILD) from error


def _typed(table: pl.DataFrame, columns: tuple[str, ...], where: str) -> pl.DataFrame:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise StoreError(f"{where} lacks the columns {', '.join(missing)}", ", ".join(columns), _REBUILD)
    kinds: Any = {name: pl.Float64 if name in _NUMBERS else pl.String for name in columns}
    kinds.update({name: pl.Int64 for name in ("layer", "n", "n_groups") if name in columns})
    try:
        return table.select(columns).cast(kinds)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{where} has a column of the wrong type ({reason})", "numbers and names", _REBUILD) from error
