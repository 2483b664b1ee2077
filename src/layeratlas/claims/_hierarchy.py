"""What the claims of the hierarchy study share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.claim import Judgement
from layeratlas.records import Verdict

CITATION = "Bogdan (2025), arXiv 2501.07359"
LARGE = (3e10, float("inf"))
SMALL = (0.0, 1e10)


def all_of(rows: Sequence[dict[str, Any]], asked: int, needs: str) -> Judgement:
    """Return whether every row is supported; one that is not supported decides against, fewer than `asked` nothing.

    The effect shown is that of the weakest row: the first that is not supported, else the smallest.
    """
    against = [row for row in rows if row["verdict"] == "not supported"]
    open_ = [row for row in rows if row["verdict"] == "inconclusive"]
    verdict: Verdict = "supported"
    if against:
        verdict = "not supported"
    elif open_ or len(rows) < asked:
        verdict = "inconclusive"
    if not rows:
        return Judgement("inconclusive", "Nothing of the kind was judged.", needs=needs)
    weakest = (against or open_ or sorted(rows, key=lambda row: row["estimate"]))[0]
    says = " ".join(row["statement"] for row in rows)
    missing = needs if len(rows) < asked else ""
    estimate, lo, hi, p = (float(weakest[name]) for name in ("estimate", "lo", "hi", "p"))
    return Judgement(verdict, says, estimate, lo, hi, p, weakest["null"], sum(row["n"] for row in rows), missing)
