"""The tables of a run."""

from __future__ import annotations

import io

import numpy as np
import polars as pl

from layeratlas.core.files import write_atomic
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.curves import Curve

CURVE_KEYS = ("model", "study", "level", "task", "stratum", "component", "layer", "depth", "method", "metric")


CURVE_VALUES = (
    "estimate", "lo", "hi", "chance", "control", "control_lo", "control_hi", "baseline", "n", "n_groups",
)  # fmt: skip


def write_table(work: Workspace, name: str, frame: pl.DataFrame) -> None:
    """Write a Parquet file of the run atomically."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    write_atomic(work.folder / name, buffer.getvalue())


def curve_table(work: Workspace, curves: list[Curve]) -> pl.DataFrame:
    """Return the tidy table, one row per curve and layer."""
    parts = []
    for c in curves:
        lo, hi = c.interval
        control_lo, control_hi = np.percentile(c.shuffles, [2.5, 97.5], axis=0)
        columns = {
            "model": work.manifest["model"]["name"], "study": work.spec.study, "level": c.level, "task": c.task,
            "stratum": c.stratum, "component": c.component, "layer": np.arange(len(lo)), "depth": c.depth,
            "method": c.method, "metric": c.metric, "estimate": c.estimate, "lo": lo, "hi": hi, "chance": c.chance,
            "control": c.shuffles.mean(0), "control_lo": control_lo, "control_hi": control_hi,
            "baseline": None if np.isnan(c.baseline) else c.baseline, "n": c.n, "n_groups": c.n_groups,
        }  # fmt: skip
        parts.append(pl.DataFrame(columns, schema_overrides={"baseline": pl.Float64}))
    return pl.concat(parts).select(*CURVE_KEYS, *CURVE_VALUES)
