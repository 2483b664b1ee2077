"""What a study's report says of the published claims about it."""

from __future__ import annotations

from pathlib import Path

from layeratlas import registry
from layeratlas.claim import table_of, tables_of
from layeratlas.contracts import Exhibit

_SHOWN = ("claim", "says", "published", "here", "estimate", "lo", "hi", "p", "null", "n", "verdict", "to decide it")


def claims_exhibit(study: str, folder: Path) -> Exhibit:
    """Return the claims about a study, judged on one run of it."""
    claims = [registry.get("claims", name) for name in registry.names("claims")]
    judged = table_of([claim for claim in claims if claim.study == study], [tables_of(folder)])
    text = (
        "What the paper reports, and what this run says of it. A run cannot decide a claim about larger models, nor "
        "one that compares models: 'layeratlas compare' judges those."
    )
    return Exhibit("claims", "The paper's claims", text, table=judged.select(_SHOWN))
