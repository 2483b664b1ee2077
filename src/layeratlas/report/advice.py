"""The table of which layer to use for what, with which a report starts."""

from __future__ import annotations

from typing import Any

from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import FILE, Recommendation, main_recommendations


def advice(run: FinishedRun) -> dict[str, Any]:
    """Return the purposes, and one row per level with a recommendation for each; no rows where the run kept none."""
    rows: dict[str, dict[str, Recommendation]] = {}
    for row in _kept(run):
        rows.setdefault(row.subject, {})[row.purpose] = row
    purposes = list(dict.fromkeys(purpose for row in rows.values() for purpose in row))
    return {"purposes": purposes, "rows": rows}


def _kept(run: FinishedRun) -> list[Recommendation]:
    # Runs of older versions have no such file; one that was changed is refused as every other table is.
    if not (run.folder / FILE).exists():
        return []
    return main_recommendations(run.recommendations)
