"""Bad rows of the user's file are refused, or left out, counted and shown."""

from __future__ import annotations

import re

import pytest

import layeratlas as la
from commands import FAST, manifest, tables, the_line, write_csv

ROWS = [(f"text number {i}", "yes" if i % 2 else "no", f"g{i // 4}") for i in range(24)]
BAD = [*ROWS[:7], ("", "yes", "g9"), *ROWS[7:], ("a text without a label", "", "g9")]


@pytest.fixture
def data(tmp_path):
    return write_csv(tmp_path / "own.csv", BAD)


def test_bad_rows_are_refused_unless_asked(atlas, tiny_model_dir, data, tmp_path):
    flags = ("run", "hierarchy", "--model", tiny_model_dir, *FAST, "--quiet", "--data", data, "--out", tmp_path / "out")
    assert "own.csv" in the_line(atlas(*flags))
    assert re.search(r"bad_rows='skip' is invalid; expected refuse or drop", the_line(atlas(*flags, "--bad-rows=skip")))
    assert not (tmp_path / "out").exists()


def test_bad_rows_that_are_dropped_are_recorded_and_change_nothing_else(atlas, tiny_model_dir, data, tmp_path):
    clean = write_csv(tmp_path / "clean" / "own.csv", ROWS) if (tmp_path / "clean").mkdir() is None else None
    flags = ("run", "hierarchy", "--model", tiny_model_dir, *FAST)
    done = atlas(*flags, "--data", data, "--bad-rows", "drop", "--out", tmp_path / "dropped", page=True)
    assert done.code == 0
    assert "own: leaves out 2 rows (7.7%), the first is " in done.err
    assert atlas(*flags, "--data", clean, "--out", tmp_path / "whole").code == 0
    assert tables(tmp_path / "dropped")[0].equals(tables(tmp_path / "whole")[0])
    record = manifest(tmp_path / "dropped")
    assert record["spec"]["bad_rows"] == "drop"
    assert (record["dropped"]["own"]["n"], len(record["dropped"]["own"]["rows"])) == (2, 2)
    assert record["dropped"]["own"]["share"] == pytest.approx(2 / 26)
    assert manifest(tmp_path / "whole")["dropped"] == {}
    page = (tmp_path / "dropped" / "report.html").read_text()
    assert "Left out</th>" in page
    assert "2 (7.7 %)" in page


def test_an_atlas_has_no_rows_to_drop():
    with pytest.raises(la.AtlasError, match="an atlas does not take the option 'bad_rows'"):
        la.atlas(bad_rows="drop")
