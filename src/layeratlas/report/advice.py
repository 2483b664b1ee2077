"""The table of recommended layers by purpose, with which a report starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import FILE, USES, Recommendation, main_recommendations


def advice(run: FinishedRun) -> dict[str, Any]:
    """Return the purposes, and one row per level with a recommendation for each; no rows if the run kept none."""
    return by_subject(kept(run), run.words("levels"))


def by_subject(recommendations: Sequence[Recommendation], words: Mapping[str, str]) -> dict[str, Any]:
    """Return the purposes of recommendations, each in words, and the recommendations by level and purpose.

    `words` say what a level is, beside its code.
    """
    rows: dict[str, dict[str, Recommendation]] = {}
    for row in recommendations:
        rows.setdefault(row.subject, {})[row.purpose] = row
    purposes = list(dict.fromkeys(purpose for row in rows.values() for purpose in row))
    return {
        "purposes": purposes,
        "uses": {purpose: USES.get(purpose, purpose) for purpose in purposes},
        "rows": rows,
        "words": words,
    }


def kept(run: FinishedRun) -> list[Recommendation]:
    """Return the recommendations with which a report starts; empty if the run kept none."""
    # Runs of older versions lack this file; like every table, it is refused if it was modified.
    if not (run.folder / FILE).exists():
        return []
    return main_recommendations(run.recommendations)
