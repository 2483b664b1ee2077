"""The table of benchmarks says what was measured: its rows are the last lines of the raw results beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts import script

ROOT = Path(__file__).parents[2]
results = script("benchmarks/results.py")  # which the other imports by its name
bench = script("benchmarks/bench.py")
KEPT = sorted((ROOT / "benchmarks" / "results").glob("bench-*.json"))


def row_of(command: str, page: str) -> str:
    """Return the row of the table that names a command."""
    rows = [line for line in page.splitlines() if line.startswith("|") and f"`{command}`" in line]
    assert len(rows) == 1, (command, len(rows))
    return rows[0]


def ratio_of(kept: dict[str, object]) -> str:
    """Return the last number that a benchmark printed, as it printed it; targets do not count."""
    lines = [row["line"] for row in kept["rows"]]  # type: ignore[attr-defined]
    return re.findall(r"\d[\d.]*", re.sub(r"\(asked: \d+\)", "", lines[-1]))[-1]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_row_has_the_ratio_of_its_raw_results(path: Path) -> None:
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert kept["settings"]["status"] == 0
    row = row_of(kept["settings"]["command"], (ROOT / "benchmarks/README.md").read_text(encoding="utf-8"))
    assert ratio_of(kept) in re.findall(r"\d[\d.]*\d|\d", row)
    assert bench.line_of(kept).startswith(f"{kept['settings']['command']}: ")  # as `--table` prints it


def test_rounds_are_read_back_as_they_were_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = {"ours, all stored": [1.25, 0.5, 1e-05], "one": [31.0]}
    results.show_rounds(rounds)
    printed = capsys.readouterr().out.splitlines()
    assert results.read_rounds([*printed, "rounds of nothing", "ours 1.25 s"]) == rounds


def test_what_a_benchmark_needs_is_asked_for() -> None:
    by_name = {each.name: each for each in bench.BENCHES}
    assert bench.arguments(by_name["report"], None, []) is None
    assert bench.arguments(by_name["rivals"], None, []) is None
    assert bench.arguments(by_name["report"], Path("a run"), [])[2:] == ["a run", "--rounds", "5"]
    assert bench.arguments(by_name["rivals"], None, ["a=b", "c=d"])[2:6] == ["--env", "a=b", "--env", "c=d"]
    assert all((ROOT / "benchmarks" / each.command.split()[0]).is_file() for each in bench.BENCHES)
