"""The tables of a run: their names and columns, and how they are written and read."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.checksums import is_whole, write_checked
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve

CURVES = "curves.parquet"
FINDINGS = "findings.parquet"

_KEYS: dict[str, Any] = {
    "model": pl.String,
    "study": pl.String,
    "level": pl.String,
    "task": pl.String,
    "stratum": pl.String,
    "component": pl.String,
    "layer": pl.Int64,
    "depth": pl.Float64,
    "method": pl.String,
    "metric": pl.String,
}
_VALUES: dict[str, Any] = {
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "chance": pl.Float64,
    "control": pl.Float64,
    "control_lo": pl.Float64,
    "control_hi": pl.Float64,
    "baseline": pl.Float64,
    "n": pl.Int64,
    "n_groups": pl.Int64,
}
# The columns of `curves.parquet`, in order, with their types.
CURVE_SCHEMA = _KEYS | _VALUES
CURVE_KEYS, CURVE_VALUES = tuple(_KEYS), tuple(_VALUES)


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet file atomically."""
    write_atomic(path, _bytes(table))


def write_table(work: Workspace, name: str, table: pl.DataFrame) -> None:
    """Write a Parquet file of a run atomically."""
    write_parquet(work.folder / name, table)


def write_part(work: Workspace, name: str, table: pl.DataFrame) -> None:
    """Write a part of a stage, which a resumed run uses where `has_part` finds it whole."""
    write_checked(work.folder / name, _bytes(table))


def has_part(work: Workspace, name: str) -> bool:
    """Return whether a part of a stage is there as it was written."""
    return is_whole(work.folder / name)


def _bytes(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def read_table(path: Path, todo: str = "run it again", columns: list[str] | None = None) -> pl.DataFrame:
    """Return a Parquet file's table; raises StoreError, in one line, where it is missing or cannot be read.

    The path is a name and never a pattern: `runs[1]` is the folder of that name.
    """
    if not path.is_file():
        raise StoreError(f"no {path.name} in '{path.parent}'", "a run whose analysis is finished", todo)
    try:
        return pl.read_parquet(path, columns=columns, glob=False, hive_partitioning=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path} cannot be read ({reason})", "a whole file", todo) from error


def curve_table(work: Workspace, curves: Iterable[Curve]) -> pl.DataFrame:
    """Return one row per curve and layer, with the columns of CURVE_SCHEMA."""
    model = work.manifest["model"]["name"]
    return pl.concat([_rows(curve, model, work.spec.study) for curve in curves]).select(*CURVE_SCHEMA)


def _rows(curve: Curve, model: str, study: str) -> pl.DataFrame:
    lo, hi = curve.interval
    control_lo, control_hi = np.percentile(curve.shuffles, [2.5, 97.5], axis=0)
    columns = {
        "model": model,
        "study": study,
        "level": curve.level,
        "task": curve.task,
        "stratum": curve.stratum,
        "component": curve.component,
        "layer": np.arange(len(lo)),
        "depth": curve.depth,
        "method": curve.method,
        "metric": curve.metric,
        "estimate": curve.estimate,
        "lo": lo,
        "hi": hi,
        "chance": curve.chance,
        "control": curve.shuffles.mean(0),
        "control_lo": control_lo,
        "control_hi": control_hi,
        "baseline": None if np.isnan(curve.baseline) else curve.baseline,
        "n": curve.n,
        "n_groups": curve.n_groups,
    }
    return pl.DataFrame(columns, schema_overrides={"baseline": pl.Float64})
