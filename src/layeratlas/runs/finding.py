"""A finding of a run, and the one table that findings are written as."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from layeratlas.stats.verdicts import Verdict

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
FINDING_COLUMNS = tuple(FINDING_SCHEMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A statement about a run, with the effect, interval and test that it rests on.

    - `finding`: its kind, as the study names it (`peak`, `boundary` ...);
    - `level`, `component`, `method`: which curve it is of: the level (or segment, or `all`), the component (`resid`,
      `attn`, `mlp`) and the method (the probe, the score, the segmentation);
    - `statement`: one sentence in plain words;
    - `estimate`, `lo`, `hi`: the effect with its 95 % interval, in the unit of its kind; NaN where there is none;
    - `p`: the p-value against `null` (which is in words), corrected where several are read at once; NaN without a test;
    - `verdict`: `supported`, `not supported` (an opposite effect, or one too small to matter) or `inconclusive`;
    - `n`: how many items (or passages, models) it rests on.
    """

    finding: str
    level: str
    component: str
    method: str
    statement: str
    estimate: float
    lo: float
    hi: float
    p: float
    null: str
    verdict: Verdict
    n: int


def finding_table(findings: Iterable[Finding], model: str, study: str) -> pl.DataFrame:
    """Return one row per finding, in order, with the columns of FINDING_SCHEMA."""
    rows = [{"model": model, "study": study, **asdict(finding)} for finding in findings]
    return pl.DataFrame(rows, schema=FINDING_SCHEMA)
