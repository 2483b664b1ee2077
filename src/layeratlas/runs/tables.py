"""The tables of a run: their names and columns, and how they are written and read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from layeratlas.core.checksums import is_whole, write_checked
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve, Reference, ReferenceKind

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
# Optional columns: null for curves without the control, absent from tables of runs without any.
CONTROL_SCHEMA: dict[str, Any] = dict.fromkeys(
    (
        "control_task",
        "selectivity",
        "selectivity_lo",
        "selectivity_hi",
        "random_weights",
        "random_weights_lo",
        "random_weights_hi",
    ),
    pl.Float64,
)


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a Parquet file atomically."""
    write_atomic(path, _bytes(table))


def write_table(work: Workspace, name: str, table: pl.DataFrame) -> None:
    """Write a Parquet file of a run atomically."""
    write_parquet(work.folder / name, table)


def write_part(work: Workspace, name: str, table: pl.DataFrame) -> None:
    """Write a partial result of a stage, which a resumed run reuses if `has_part` finds it intact."""
    write_checked(work.folder / name, _bytes(table))


def has_part(work: Workspace, name: str) -> bool:
    """Return whether a partial result of a stage exists and is unchanged."""
    return is_whole(work.folder / name)


def _bytes(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def read_table(path: Path, todo: str = "run it again", columns: list[str] | None = None) -> pl.DataFrame:
    """Return a Parquet file's table; raises StoreError, in one line, if it is missing or cannot be read.

    The path is never a glob pattern: `runs[1]` is the folder of that name.
    """
    if not path.is_file():
        raise StoreError(f"no {path.name} in '{path.parent}'", "a run whose analysis is finished", todo)
    try:
        return pl.read_parquet(path, columns=columns, glob=False, hive_partitioning=False)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StoreError(f"{path} cannot be read ({reason})", "a whole file", todo) from error


def with_controls(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of curves with the columns of CONTROL_SCHEMA, null if it was written without them."""
    missing = [name for name in CONTROL_SCHEMA if name not in table.columns]
    return table.with_columns([pl.lit(None, dtype=CONTROL_SCHEMA[name]).alias(name) for name in missing])


def curve_table(work: Workspace, curves: Iterable[Curve]) -> pl.DataFrame:
    """Return one row per curve and layer, with the columns of CURVE_SCHEMA and of CONTROL_SCHEMA."""
    model, schema = work.manifest["model"]["name"], CURVE_SCHEMA | CONTROL_SCHEMA
    rows = [_rows(curve, model, work.spec.study) for curve in curves]
    # One table for all curves: a table for each would take longer than computing what is in it.
    table = pl.DataFrame({name: np.concatenate([row[name] for row in rows]) for name in schema}, schema=schema)
    return table.with_columns(pl.col("baseline", *CONTROL_SCHEMA).fill_nan(None))


def _rows(curve: Curve, model: str, study: str) -> dict[str, Any]:
    """Return the columns of a curve's rows, each (P,); NaN for what the curve lacks."""
    lo, hi = curve.interval
    control_lo, control_hi = np.percentile(curve.shuffles, [2.5, 97.5], axis=0)
    columns = {
        "model": model,
        "study": study,
        "level": curve.level,
        "task": curve.task,
        "stratum": curve.stratum,
        "component": curve.component,
        "layer": curve.layers,
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
        "baseline": curve.baseline,
        "n": curve.n,
        "n_groups": curve.n_groups,
    }
    columns |= _control_columns(curve.references)
    points = len(curve.estimate)
    return {
        name: np.broadcast_to(np.asarray(value, object if isinstance(value, str) else None), points)
        for name, value in columns.items()
    }


def _control_columns(references: Mapping[ReferenceKind, Reference]) -> dict[str, Any]:
    columns: dict[str, Any] = dict.fromkeys(CONTROL_SCHEMA, np.nan)
    if task := references.get(ReferenceKind.CONTROL_TASK):
        lo, hi = task.gain_interval
        columns |= {"control_task": task.estimate, "selectivity": task.gain}
        columns |= {"selectivity_lo": lo, "selectivity_hi": hi}
    if random := references.get(ReferenceKind.RANDOM_WEIGHTS):
        lo, hi = random.interval
        columns |= {"random_weights": random.estimate, "random_weights_lo": lo, "random_weights_hi": hi}
    return columns
