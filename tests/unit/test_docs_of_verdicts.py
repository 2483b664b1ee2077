"""The docs name for every registered verdict its null, what is exchangeable, what is corrected, the meaning of
"not supported" and a reference, and for every published statement its claim or why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

import pytest

from layeratlas.comparison.kinds import ComparisonKind
from layeratlas.core import registry
from layeratlas.studies.causal.names import CausalFinding
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.hierarchy.names import HierarchyFinding
from layeratlas.studies.segments.names import SegmentFinding

DOCS = Path(__file__).parents[2] / "docs"
# What must be said of each verdict, by the words in the head of its column.
ASKED = ("null", "exchangeable|resampled", "correct", "not supported", "reference")
PAGES: dict[str, type[StrEnum]] = {
    "hierarchy": HierarchyFinding,
    "exits": ExitFinding,
    "segments": SegmentFinding,
    "use": CausalFinding,
    "compare": ComparisonKind,
}
CLAIMS = {registry.get("claims", name).name: registry.get("claims", name) for name in registry.names("claims")}
Row = dict[str, str]


def tables(text: str) -> Iterator[Row]:
    """Yield every row of every table of a page, by the head of its columns; the first column is `of`."""
    for block in re.findall(r"(?:^\|.*\n)+", text + "\n", flags=re.M):
        head, _, *rows = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in block.splitlines()]
        for row in rows:
            yield dict(zip(["of", *head[1:]], row, strict=False))


def unsaid(name: str, rows: Iterable[Row]) -> list[str]:
    """Return what the rows of a verdict leave out."""
    said = [(head, cell) for row in rows if f"`{name}`" in row["of"] for head, cell in row.items() if head != "of"]
    return [asked for asked in ASKED if not any(re.search(asked, head) and len(cell) > 1 for head, cell in said)]


@pytest.mark.parametrize("page", PAGES)
def test_the_docs_say_of_every_finding_what_its_verdict_rests_on(page):
    rows = [*tables((DOCS / f"{page}.md").read_text(encoding="utf-8"))]
    left = {kind.value: unsaid(kind.value, rows) for kind in PAGES[page] if kind.value not in CLAIMS}
    assert {kind: gaps for kind, gaps in left.items() if gaps} == {}


def test_the_docs_say_of_every_claim_what_its_verdict_rests_on():
    rows = [*tables((DOCS / "claims.md").read_text(encoding="utf-8"))]
    assert {name: unsaid(name, rows) for name in CLAIMS if unsaid(name, rows)} == {}
    named = [re.findall(r"`([^`]+)`", row["of"])[0] for row in rows if "claim" not in row["of"] and "null" in row]
    assert sorted(named) == sorted(CLAIMS)
    stated = {row["of"].strip("`"): row["statement"] for row in rows if "null" in row}
    assert stated == {name: claim.summary for name, claim in CLAIMS.items()}


def test_every_statement_without_a_claim_has_a_reason():
    rows = [row for row in tables((DOCS / "claims.md").read_text(encoding="utf-8")) if "why not" in row]
    assert len(rows) > 5
    assert [row["of"] for row in rows if len(row["why not"]) < 30 or not re.match(r"\d{4}\.\d{5}", row["paper"])] == []


def test_a_verdict_that_the_docs_leave_out_is_reported():
    page = "| finding | null | correction |\n|---|---|---|\n| `peak` | noise | |\n"
    assert unsaid("peak", tables(page)) == ["exchangeable|resampled", "correct", "not supported", "reference"]
    assert unsaid("order", tables(page)) == list(ASKED)
