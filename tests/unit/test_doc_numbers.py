"""Measured numbers of the documentation stand near the command that prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import script

ROOT = Path(__file__).parents[2]
# Lines that hold no measurement of this project: layers that papers name, limits, tolerances and units.
LOOKED_AT = {"claims.md": 5, "data.md": 1, "exits.md": 2, "interventions.md": 1, "run-folder.md": 2}


tool = script("tools/doc_numbers.py")


@pytest.mark.parametrize("page", tool.PAGES, ids=lambda page: "/".join(page.parts[-2:]))
def test_a_page_has_no_new_number_without_a_command(page: Path) -> None:
    lines = tool.unnamed(page.read_text(encoding="utf-8"))
    assert len(lines) == LOOKED_AT.get(page.name, 0), lines


MEASURED = ["It took 12.5 s.", "Of them 383 of 400 did.", "It rises by 0.15 [0.11, 0.19].", "87 % of a run."]


@pytest.mark.parametrize("sentence", MEASURED)
def test_a_number_is_listed_unless_a_command_is_near(sentence: str) -> None:
    far = "`layeratlas run hierarchy`\n\none\n\ntwo\n\n"
    assert tool.unnamed(f"# Title\n\n{far}{sentence}\n") == [(9, sentence)]
    assert tool.unnamed(f"# Title\n\n{sentence} (`python benchmarks/growth.py`)\n") == []
    assert tool.unnamed(f"```sh\nlayeratlas validate\n```\n\none\n\n{sentence}\n") == []


def test_levels_and_bounds_are_not_measured() -> None:
    assert tool.unnamed("A 95 % interval; at most 5 % are false; 93 to 97 % are required; below 0.02 nats.\n") == []
