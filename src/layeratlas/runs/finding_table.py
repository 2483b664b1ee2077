"""The table of findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from layeratlas.runs.finding import Finding, corrected

# The columns of `findings.parquet`, in order, with their types.
FINDING_SCHEMA: dict[str, Any] = {
    "model": pl.String,
    "study": pl.String,
    "finding": pl.String,
    "level": pl.String,
    "component": pl.String,
    "method": pl.String,
    "statement": pl.String,
    "estimate": pl.Float64,
    "lo": pl.Float64,
    "hi": pl.Float64,
    "p": pl.Float64,
    "null": pl.String,
    "verdict": pl.String,
    "n": pl.Int64,
}
# The p-value corrected over all findings of a run; NaN without a p-value, and in runs written without the column.
Q = "q"
# What a supported finding of the kind says, in a few words; empty in runs written without the column.
TESTED = "tested"
REPORT_SCHEMA: dict[str, Any] = FINDING_SCHEMA | {Q: pl.Float64, TESTED: pl.String}


def finding_table(
    findings: Iterable[Finding], model: str, study: str, tested: Mapping[str, str] | None = None
) -> pl.DataFrame:
    """Return one row per finding of a run, in order, with the columns of REPORT_SCHEMA.

    `q` is the p-value corrected over all findings together. A verdict that rests on p also needs `q` of at most 0.05.
    `tested` says for kinds of findings what a supported one says.
    """
    words = tested or {}
    rows = [
        {"model": model, "study": study, **asdict(finding), Q: q, TESTED: words.get(finding.finding, "")}
        for finding, q in corrected(list(findings))
    ]
    return pl.DataFrame(rows, schema=REPORT_SCHEMA)


def with_later_columns(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of findings with `q` (NaN) and `tested` (empty) if an earlier version wrote it without them."""
    later = {Q: float("nan"), TESTED: ""}
    return table.with_columns(pl.lit(value).alias(name) for name, value in later.items() if name not in table.columns)
