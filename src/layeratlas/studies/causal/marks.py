"""The marks of a causal run on the map of models: where the answers need a level, and where they do not."""

from __future__ import annotations

from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.quantity import UNUSED, USED, ModelMark
from layeratlas.runs.tables import read_table
from layeratlas.studies.causal.names import TABLE_FILE, CausalFinding

_MEANINGS = {"supported": USED, "not supported": UNUSED}


def marks_of(run: FinishedRun) -> list[ModelMark]:
    """Return a mark for each level and point with a verdict on use; empty if the run has no table.

    The size of a mark is the share of the model's log-odds that erasure removes beyond its controls. As in the report,
    a level has marks of use only if its finding `used` is supported after all corrections, and marks of no use only at
    points that encode it, if the model answers.
    """
    if not (run.folder / TABLE_FILE).is_file():
        return []
    used, answered = (_supported(run, kind) for kind in (CausalFinding.USED, CausalFinding.ANSWERED))
    return [
        ModelMark(
            level=row["level"],
            layer=row["point"],
            depth=row["point"] / run.blocks,
            meaning=_MEANINGS[row["used"]],
            size=used_share(row["used_by"], row["clean"]),
        )
        for row in read_table(run.folder / TABLE_FILE).iter_rows(named=True)
        if (row["used"] == "supported" and row["level"] in used)
        or (row["used"] == "not supported" and row["encoded"] == "supported" and row["level"] in answered)
    ]


def _supported(run: FinishedRun, kind: str) -> set[str]:
    return {finding.level for finding in run.of_kind(kind) if finding.verdict == "supported"}


def used_share(lost: float, log_odds: float) -> float:
    """Return a loss as a share of the model's own log-odds, 0 to 1; 0 if the model prefers wrong answers."""
    return min(max(lost, 0.0) / log_odds, 1.0) if log_odds > 0 else 0.0
