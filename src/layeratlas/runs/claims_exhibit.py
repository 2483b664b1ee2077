"""The claims of a study, judged on one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layeratlas.runs.claim import Claim, table_of
from layeratlas.runs.finished import tables_of
from layeratlas.runs.study import Exhibit

_SHOWN = ("claim", "says", "published", "here", "estimate", "lo", "hi", "p", "null", "n", "verdict", "to decide it")


def claims_exhibit(claims: Sequence[Claim], folder: Path) -> Exhibit:
    """Return the claims of a study, judged on one run of it."""
    judged = table_of(claims, [tables_of(folder)])
    text = (
        "What the paper reports, and what this run says of it. A run cannot decide a claim about larger models, nor "
        "one that compares models: 'layeratlas compare' judges those."
    )
    return Exhibit("claims", "The paper's claims", text, table=judged.select(_SHOWN))
