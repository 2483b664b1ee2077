"""The table of docs/validation.md: its lines are those of `layeratlas validate`, and the tool writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from layeratlas.validation import Rate
from layeratlas.validation.checks import CHECKS
from scripts import script

ROOT = Path(__file__).parents[2]


tool = script("tools/validation_table.py")


def rate(hits: int, trials: int = 1000, **bounds: float) -> Rate:
    return Rate(planted="a case", finding="a finding", hits=hits, trials=trials, **bounds)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        (rate(950, at_least=0.93, at_most=0.97), "| a case | a finding | 950 | 1,000 | 93 to 97 % |"),
        (rate(971, at_least=0.93, at_most=0.97), "| a case | a finding | 971 | 1,000 | 93 to 97 % (outside) |"),
        (rate(20, at_most=0.025), "| a case | a finding | 20 | 1,000 | at most 2.5 % |"),
        (rate(90, at_most=0.05), "| a case | a finding | 90 | 1,000 | at most 5 % (outside) |"),
        (rate(95, 100, at_least=0.9), "| a case | a finding | 95 | 100 | at least 90 % |"),
        (rate(0, 600, at_most=0.0), "| a case | a finding | 0 | 600 | 0 |"),
    ],
)
def test_a_line_has_counts_and_bounds(line: Rate, written: str) -> None:
    assert tool.row(line) == written


def test_only_the_table_of_rates_is_replaced() -> None:
    head = "| planted | counted | hits | trials | required |\n|---|---|---|---|---|\n"
    page = f"# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n{head}| old | old | 1 | 2 | 0 |\n\nAfter.\n"
    new = tool.replaced(page, [rate(950, at_least=0.9)])
    assert new == page.replace("| old | old | 1 | 2 | 0 |", "| a case | a finding | 950 | 1,000 | at least 90 % |")


def test_the_page_has_every_check_once_with_its_bounds() -> None:
    lines = (ROOT / "docs/validation.md").read_text(encoding="utf-8").splitlines()
    written = [line.removesuffix(" |").removesuffix(" (outside)").split(" | ") for line in lines]
    for check in CHECKS:
        required = tool.required(check.rate([]))
        found = [row for row in written if row[0] == f"| {tool.named(check.planted)}" and row[1] == check.finding]
        assert [row[-1] for row in found] == [required], check.planted
