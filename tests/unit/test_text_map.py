"""The map in a terminal shows where a level is decoded, fits its width, and is left out where it cannot be shown."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import polars as pl
import pytest

import fake_run
from layeratlas.api import load
from layeratlas.api.display import map_width
from layeratlas.cli.terminal import PlainProgress, RichProgress
from layeratlas.core.checksums import digest_of, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design
from layeratlas.report import summary_of
from layeratlas.report.text_map import SHADES, TextRow, drawn, level_rows
from layeratlas.report.view import prepare
from layeratlas.runs.finished import FinishedRun
from layeratlas.studies.hierarchy.first_look import first_look
from layeratlas.studies.hierarchy.study import PLUGIN as HIERARCHY

HUMP = TextRow(name="item", shares=[0.0, 0.3, 0.99, 0.5, 0.1], best=2)


def test_a_darker_sign_stands_for_a_larger_share():
    axis, row = drawn([HUMP], 60)
    assert axis.split() == ["layer", "0", "4"]
    assert row.split(maxsplit=1) == ["item", "·░█▒· best at 2"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_it_fits_its_width_and_keeps_the_best_of_the_layers_of_a_column(width):
    peak = TextRow(name="item", shares=[0.0] * 60 + [0.9] + [0.0] * 59, best=60)
    lines = drawn([peak], width)
    assert max(map(len, lines)) <= width
    assert lines[1].count("█") == 1


def test_many_levels_are_counted_and_no_room_is_no_map():
    rows = [TextRow(name=f"level {i}", shares=HUMP.shares, best=2) for i in range(15)]
    assert drawn(rows, 80)[-1].strip() == "and 3 more levels in the report"
    assert drawn(rows, 30) == []


def test_the_rows_of_a_run_peak_where_its_levels_do(tmp_path):
    view = prepare(FinishedRun(fake_run.write_run(tmp_path)).curves)
    rows = {row.name: row for row in level_rows(view)}
    for level, hump in fake_run.HUMPS.items():
        assert abs(rows[level].best / 30 - hump.centre) < 0.15
        assert len(rows[level].shares) == 31
        assert rows[level].shares[rows[level].best] > max(rows[level].shares) - 0.02


def test_a_level_whose_peak_is_not_shown_has_no_best_layer_and_no_dot(tmp_path):
    """The curve of an undetected level has a highest layer too; the map must not point to it."""
    run = FinishedRun(fake_run.write_run(tmp_path))
    (first, *others) = fake_run.HUMPS
    told = {(first, "resid"): False} | {(level, "resid"): True for level in others}
    view = prepare(run.curves, presence=told)
    assert [row.name for row in level_rows(view) if row.best is None] == [first]
    dotted = view.peaks.filter(component="resid").filter("clear")["level"].unique().to_list()
    assert sorted(dotted) == sorted(others)
    assert prepare(run.curves).peaks["clear"].all()  # what was not tested keeps its peak


def test_a_row_without_a_best_layer_says_so():
    assert drawn([TextRow(name="item", shares=HUMP.shares, best=None)], 60)[1].endswith(" undetected")


def test_a_summary_has_at_most_ten_lines_beside_the_map(tmp_path):
    run = load(fake_run.write_run(tmp_path))
    plain, mapped = run.summary().splitlines(), run.summary(80).splitlines()
    assert len(plain) <= 11
    assert len(mapped) == len(plain) + 4
    assert not set(SHADES[1:]) & set("".join(plain))


def test_a_kept_summary_equals_that_of_the_tables_and_is_refused_once_they_change(tmp_path):
    run = load(fake_run.write_run(tmp_path))
    asked = {width: run.summary(width) for width in (0, 60, 80, 200)}
    digests = {name: digest_of(tmp_path / name) for name in ("curves.parquet", "findings.parquet")}
    stages = {"analyse": {"done": True, "sha256": digests}}
    kept = run.manifest | {"stages": stages, "summary": summary_of(run, HIERARCHY)}
    write_sealed(tmp_path / "run.json", kept)
    again = load(tmp_path)
    for width, text in asked.items():
        assert again.summary(width).splitlines()[1:] == text.splitlines()[1:]  # the first line has the seconds
    assert "findings" not in vars(again)  # no table was read
    table = pl.read_parquet(tmp_path / "findings.parquet")
    table.with_columns(verdict=pl.lit("supported")).write_parquet(tmp_path / "findings.parquet")
    with pytest.raises(StoreError, match=r"findings\.parquet' was changed or damaged after it was written"):
        load(tmp_path).summary()
    changed = json.loads((tmp_path / "run.json").read_text())
    changed["summary"]["lines"] = ["[supported] Anything."]
    (tmp_path / "run.json").write_text(json.dumps(changed))
    with pytest.raises(StoreError, match=r"run\.json' was changed or damaged after it was written"):
        load(tmp_path)


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", True), ("ascii", False), ("latin-1", False)])
def test_a_terminal_that_cannot_show_the_shades_gets_no_map(monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert (map_width() > 0) == shown


def test_a_first_look_runs_from_chance_to_one_and_names_the_best_layer():
    texts = [Item(text=f"the {word} {n}", label=word, group=str(n)) for n in range(10) for word in ("warm", "cold")]
    design = make_design(Dataset(name="weather", level="item", items=tuple(texts)), ProbeSpec(), seed=0)
    sign = np.where(design.y == 1, 1.0, -1.0)
    half = sign * np.where(np.arange(len(sign)) % 4 < 2, 1.0, -1.0)  # half of the texts are right: chance
    layers = [values[None, :, None] for values in (half, sign, half)]
    assert first_look(design, layers).split(maxsplit=2) == ["weather", "·█·", "1.00 at layer 1"]


def test_a_first_result_is_shown_at_a_terminal_only(capsys):
    PlainProgress(sys.stderr).preview("a curve")
    assert capsys.readouterr().err == ""
    RichProgress().preview("a curve")
    assert "a curve" in capsys.readouterr().err
