"""The claims of a study, judged on one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layeratlas.runs.claim import Claim, judgement_table, others_in_words, rested
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.study import Exhibit

SHOWN = ("claim", "says", "published", "here", "estimate", "lo", "hi", "p", "null", "n", "verdict", "to decide it")


def claims_exhibit(claims: Sequence[Claim], folder: Path) -> Exhibit:
    """Return a table of a study's claims that rest on findings of a run, and how many more there are."""
    table, others = rested(judgement_table(claims, [FinishedRun(folder)]))
    text = (
        "What the paper reports, and what this run finds. A run of a small model cannot decide a claim about larger "
        "ones, and no single run decides a claim that compares models: 'layeratlas compare' judges those."
        if len(table)
        else "This run has no finding that a claim of the paper rests on."
    )
    text = f"{text} {others_in_words(len(others))}".strip()
    return Exhibit("claims", "The paper's claims", text, table=table.select(SHOWN) if len(table) else None)
