"""The table of planted truth: through a run's own store and stages, small here and whole with the `truth` marker."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from layeratlas.cli.app import app
from layeratlas.validation.table import CASES, Row, validate


def test_the_command_says_what_is_planted_and_on_nothing_nothing():
    result = CliRunner().invoke(app, ["validate", "--runs", "1", "--quiet"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()[1:]
    rows = {(line[:26].strip(), line[26:58].strip()): line[58:].split() for line in lines}
    assert {planted for planted, _ in rows} == set(CASES)
    for (_, said), (hits, of, _, bound, asked, *_) in rows.items():
        if bound == ">=" and said != "95 % interval holds the truth":
            assert int(hits) >= 0.5 * int(of) > 0, said
        elif bound == "<=":
            assert int(hits) <= 1, (said, asked)
    assert rows["nothing", "any peak in a run"][1] == "1"


def test_a_rate_that_misses_is_marked():
    assert Row("", "", 80, 100, at_least=0.9).passed is False
    assert Row("", "", 86, 100, at_least=0.9).passed is True
    assert Row("", "", 12, 100, at_most=0.05).passed is False
    assert Row("", "", 9, 100, at_most=0.05).passed is True
    assert Row("", "", 98, 100, at_least=0.93, at_most=0.97).passed is False


@pytest.mark.truth
def test_the_whole_table_is_as_asked():
    assert [row for row in validate(100) if not row.passed] == []
