"""One statement about a run."""

from __future__ import annotations

from dataclasses import dataclass

from layeratlas.stats.verdicts import Verdict

FINDING_COLUMNS = (
    "model", "study", "finding", "level", "component", "method", "statement",
    "estimate", "lo", "hi", "p", "null", "verdict", "n",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about a run with its effect, interval, p-value, null and verdict."""

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
