"""The index page of many runs: a table with links, which sorts; it loads nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layeratlas.report.shell import page_alone


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """One run: where its report is (relative to the page; empty where there is none) and how it stands."""

    name: str
    link: str
    model: str
    study: str
    seed: int
    standing: str
    seconds: float
    reason: str


def index_page(title: str, rows: Sequence[IndexRow], comparisons: Mapping[str, str], notes: Sequence[str]) -> str:
    """Return the page; `comparisons` are links by name, `notes` lines below the table."""
    counts = Counter(row.standing for row in rows)
    return page_alone("index", title=title, rows=rows, counts=counts, comparisons=comparisons, notes=notes)
