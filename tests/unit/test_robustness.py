"""Robustness: a planted wording effect moves the peak by as much as planted, and widens the interval."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import polars as pl
import pytest

import planting
import small_runs
from layeratlas.core import registry
from layeratlas.data.items import WORDINGS, Dataset, Item
from layeratlas.runs.finding import Finding
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved
from layeratlas.studies.hierarchy.robustness.tables import moved_by, spreads, variant_table
from layeratlas.studies.hierarchy.robustness.variants import (
    AS_RUN,
    Source,
    Variant,
    first_texts,
    half_of,
    list_of,
    part_of,
    probed_variants,
    wording,
)

LAYERS, PEAK = 13, 4
SPEC = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 20})
DATA = planting.planted_data(160)


def planted(data: Dataset, peak: int, seed: int = 0):
    """Return a data set probed at layers of which one, `peak`, decodes best."""
    strength = 3.0 * np.exp(-(((np.arange(LAYERS) - peak) / 1.5) ** 2))
    return planting.probed(data, planting.activations(data, list(strength), width=16, seed=seed), SPEC)[0]


@cache
def table_of(shift: int) -> pl.DataFrame:
    """Return the table of a level whose other wordings peak `shift` layers later."""
    variants = {AS_RUN: [planted(DATA, PEAK)]}
    variants |= {wording(k): [planted(DATA, PEAK + shift, seed=k)] for k in range(1, WORDINGS)}
    variants |= {
        Variant(source=Source.WORD_LIST, name=n): [planted(half_of(DATA, i), PEAK)] for i, n in enumerate("AB")
    }
    return variant_table({"item": variants}, 0)


@pytest.mark.parametrize("shift", [0, 3, 6])
def test_a_planted_wording_effect_moves_the_peak_by_as_many_layers(shift):
    table = table_of(shift)
    moved = table.filter(source=Source.WORDING)["peak_layer"] - table.filter(source=Source.AS_RUN)["peak_layer"].item()
    assert moved.to_list() == [pytest.approx(shift, abs=1)] * (WORDINGS - 1)


def test_the_interval_holds_what_the_wordings_add():
    steady, moved = (next(s for s in spreads(table_of(shift)) if s.quantity == "peak") for shift in (0, 6))
    assert steady.total < 2 * max(steady.groups, 1 / (LAYERS - 1))
    assert moved.sources[Source.WORDING] == pytest.approx(6 / (LAYERS - 1) / np.sqrt(3), rel=0.3)
    assert moved.total >= moved.sources[Source.WORDING]
    lo, hi = moved.interval
    assert lo <= PEAK / (LAYERS - 1) < (PEAK + 6) / (LAYERS - 1) <= hi + 0.05


def said(findings: list[Finding], kind: str, level: str) -> Finding:
    return next(f for f in findings if (f.finding, f.level, f.component, f.method) == (kind, level, "resid", "ridge"))


def test_main_intervals_hold_what_other_wordings_words_folds_and_seeds_add():
    """Two levels that rise 0.15 of the depth apart: in order over groups, and not where wordings move each by 0.2."""
    depth = np.linspace(0, 1, 31)
    curves = [
        planting.drawn_curve((0.5 + 0.4 / (1 + np.exp(-(depth - at) / 0.03))).tolist(), 0.01, level=level)
        for level, at in (("item", 0.3), ("relation", 0.45))
    ]
    curves += [dataclasses.replace(curve, component="attn") for curve in curves]
    errors = {"item": 0.2, "relation": 0.2}
    sure, moved = (find(curves, planting.PHRASING, m) for m in (NOT_MOVED, Moved(peak=errors, emergence=errors)))
    assert said(sure, "emergence order", "item < relation").verdict == "supported"
    assert said(moved, "emergence order", "item < relation").verdict == "inconclusive"
    for kind, level in (("emergence", "item"), ("emergence", "relation"), ("peak", "item")):
        narrow, wide = (said(findings, kind, level) for findings in (sure, moved))
        assert wide.estimate == narrow.estimate
        assert wide.lo <= max(0.0, narrow.estimate - 0.19)
        assert wide.hi >= min(1.0, narrow.estimate + 0.19)
        assert (wide.p, wide.verdict) == (narrow.p, narrow.verdict)  # whether it decodes is another question
    others = [[f for f in findings if f.component == "attn"] for findings in (sure, moved)]
    assert others[0] == others[1]


def test_what_is_moved_is_read_from_the_table_of_a_run():
    steady, moved = (moved_by(table_of(shift)) for shift in (0, 6))
    assert moved.peak["item"] == pytest.approx(6 / (LAYERS - 1) / np.sqrt(3), rel=0.4)
    assert steady.peak["item"] < 0.1
    assert set(moved.emergence) == {"item"}
    assert moved.of_pair({"item": 0.3, "relation": 0.4}, "item", "relation") == pytest.approx(0.5)


def test_word_lists_count_as_far_as_they_exceed_the_groups():
    spread = next(spreads(table_of(0)))
    wide = dataclasses.replace(spread, groups=0.1, sources={Source.WORD_LIST: 0.05})
    assert wide.total == pytest.approx(0.1)
    assert dataclasses.replace(wide, sources={Source.WORD_LIST: 0.2}).total == pytest.approx(0.2)


def test_halves_share_no_group_and_every_data_set_divides_them_alike():
    first, second = half_of(DATA, 0), half_of(DATA, 1)
    assert not {item.group for item in first.items} & {item.group for item in second.items}
    assert len(first.items) + len(second.items) == len(DATA.items)
    assert all(list_of(item.group) == 0 for item in first.items)


def test_a_part_of_the_texts_is_whole_groups():
    data = planting.planted_data(120, per_group=4)
    part = first_texts(data, 50, 0)
    assert len(part.items) == 48
    assert all(len([i for i in part.items if i.group == g]) == 4 for g in {item.group for item in part.items})
    assert first_texts(data, 1000, 0) == data


def test_every_variant_has_a_design_and_small_halves_are_left_out():
    designs = probed_variants(DATA, SPEC, 0)
    assert [variant.source for variant in designs].count(Source.WORDING) == WORDINGS - 1
    assert [variant.source for variant in designs].count(Source.WORD_LIST) == 2
    tiny = Dataset("tiny", "tiny", tuple(Item(f"t{i}", f"c{i % 2}", f"g{i // 2 % 2}") for i in range(8)))
    assert Source.WORD_LIST not in {variant.source for variant in probed_variants(tiny, SPEC, 0)}


@pytest.mark.parametrize("task", ["items", "relations", "analogies", "grammar", "documents", "buried", "graded"])
def test_every_text_has_three_wordings(task):
    for data in registry.get("tasks", task).build("quick"):
        texts = [data.texts, *(data.reworded(k).texts for k in range(1, WORDINGS))]
        assert WORDINGS >= 3
        assert all(len(set(same)) == WORDINGS for same in zip(*texts, strict=True))
        assert {len(set(some)) for some in texts} == {len(set(data.texts))}
        assert data.reworded(1).y.tolist() == data.y.tolist()


def test_a_run_tells_how_far_each_source_moves_its_levels(tiny_model_dir, tmp_path):
    run = small_runs.warm_and_cold(tiny_model_dir, tmp_path, 40, robustness=True)
    table = pl.read_parquet(run.folder / "robustness.parquet")
    assert set(table["source"]) == {source.value for source in Source}
    assert len(table.filter(source=Source.WORDING)) == WORDINGS - 1
    assert "Does it depend on wording" in run.report_path.read_text(encoding="utf-8")


def test_texts_that_cannot_be_divided_are_used_whole():
    items = [Item(f"t{i}", f"c{i % 2}", f"g{i // 3}") for i in range(12)]
    data = Dataset("few", "few", tuple(items))
    assert part_of(data, 5, SPEC, 0) == data
