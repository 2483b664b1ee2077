"""Robustness: a planted wording effect moves the peak by as much as planted, and widens the interval."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import cache

import numpy as np
import polars as pl
import pytest

import layeratlas as la
import planting
import small_runs
from layeratlas.core import registry
from layeratlas.core.errors import DataError
from layeratlas.data.items import WORDINGS, Dataset, Item
from layeratlas.runs.finding import Finding
from layeratlas.studies.hierarchy import analysing
from layeratlas.studies.hierarchy.analysing import find
from layeratlas.studies.hierarchy.findings.moved import NOT_MOVED, Moved
from layeratlas.studies.hierarchy.robustness.exhibit import robustness_exhibits
from layeratlas.studies.hierarchy.robustness.lists import two_lists
from layeratlas.studies.hierarchy.robustness.parts import first_texts, part_of
from layeratlas.studies.hierarchy.robustness.tables import Spread, moved_by, spreads, variant_table
from layeratlas.studies.hierarchy.robustness.variants import (
    AS_RUN,
    FIRST_LIST,
    SECOND_LIST,
    Source,
    probed_variants,
    wording,
)

LAYERS, PEAK = 13, 4
SPEC = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 20})
DATA = planting.planted_data(160)
OTHER_WORDS = planting.planted_data(120)


def planted(data: Dataset, peak: int, seed: int = 0):
    """Return a data set probed at layers of which one, `peak`, decodes best."""
    strength = 3.0 * np.exp(-(((np.arange(LAYERS) - peak) / 1.5) ** 2))
    return planting.probed(data, planting.activations(data, list(strength), width=16, seed=seed), SPEC)[0]


@cache
def table_of(shift: int, lists: int = 0, seed: int = 0) -> pl.DataFrame:
    """Return the table of a level whose wordings, and second list, peak so many layers later than the run."""
    variants = {AS_RUN: [planted(DATA, PEAK, seed=seed)]}
    if not seed:
        variants |= {wording(k): [planted(DATA, PEAK + shift, seed=k)] for k in range(1, WORDINGS)}
    variants |= {FIRST_LIST: variants[AS_RUN], SECOND_LIST: [planted(OTHER_WORDS, PEAK + lists, seed=seed + 7)]}
    return variant_table({"item": variants}, 0)


def peak_of(table: pl.DataFrame) -> Spread:
    return next(spread for spread in spreads(table) if spread.quantity == "peak")


@pytest.mark.parametrize("shift", [0, 3, 6])
def test_a_planted_wording_effect_moves_the_peak_by_as_many_layers(shift):
    table = table_of(shift)
    moved = table.filter(source=Source.WORDING)["peak_layer"] - table.filter(source=Source.AS_RUN)["peak_layer"].item()
    assert moved.to_list() == [pytest.approx(shift, abs=1)] * (WORDINGS - 1)


def test_the_interval_holds_what_the_wordings_add():
    steady, moved = (peak_of(table_of(shift)) for shift in (0, 6))
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


@pytest.mark.parametrize("lists", [3, 6])
def test_a_second_list_that_peaks_elsewhere_is_seen_and_widens_the_interval(lists):
    spread = peak_of(table_of(0, lists))
    assert spread.sources[Source.WORD_LIST] == pytest.approx(lists / (LAYERS - 1) / np.sqrt(2), rel=0.35)
    assert spread.total >= 0.9 * np.sqrt(spread.sources[Source.WORD_LIST] ** 2 - spread.lists**2)
    lo, hi = spread.interval
    assert lo <= PEAK / (LAYERS - 1) < (PEAK + lists) / (LAYERS - 1) <= hi + 0.05


def test_equal_lists_add_next_to_nothing():
    """Control: two lists of the same peak differ by their samples of words alone, which `lists` already counts."""
    found = [peak_of(table_of(0, 0, seed)) for seed in range(1, 6)]
    added = [max(0.0, spread.sources[Source.WORD_LIST] ** 2 - spread.lists**2) for spread in found]
    assert np.median(added) == 0
    planted_move = (6 / (LAYERS - 1)) ** 2 / 2
    assert np.mean(added) < 0.1 * planted_move


def emergence_of(data: Dataset, seed: int) -> float:
    """Return where data emerges whose signal grows steadily with depth, at a width above the number of texts."""
    layers = planting.activations(data, list(np.linspace(0, 4, LAYERS)), width=300, seed=seed)
    table = variant_table({"item": {AS_RUN: [planting.probed(data, layers, SPEC)[0]]}}, 0)
    return table.filter(source=Source.AS_RUN)["emergence"].item()


def test_lists_of_equal_truth_and_unequal_size_emerge_at_one_depth():
    """Fewer texts or unequal classes move emergence deeper, so the larger list is cut to the smaller one's."""
    larger, smaller = planting.planted_data(240), planting.planted_data(104, level="other item")
    designs = probed_variants(dataclasses.replace(larger, other_words=smaller), 240, SPEC, 0)
    lists = [designs[variant].data for variant in (FIRST_LIST, SECOND_LIST)]
    assert [len(data) for data in lists] == [104, 104]
    found = np.array([[emergence_of(data, s + 10 * k) for k, data in enumerate((larger, *lists))] for s in range(8)])
    whole, first, second = found.T
    assert abs(np.mean(second - first)) < 0.03
    assert np.mean(second - whole) > 0.03  # control: what unequal lists would show


@pytest.mark.parametrize(("sizes", "most", "count"), [((1, 1), 50, 50), ((4, 3), 240, 96), ((4, 3), 30, 24)])
def test_two_lists_have_equally_many_texts_of_each_class_in_whole_groups(sizes, most, count):
    whole = [planting.planted_data(n, per_group=size) for n, size in zip((240, 96), sizes, strict=True)]
    parts = two_lists(*whole, most, 0)
    for part, of, size in zip(parts, whole, sizes, strict=True):
        assert set(part.texts) <= set(of.texts)
        assert len({item.group for item in part.items}) == count / size
        assert np.bincount(part.y.astype(int)).tolist() == [count / 2] * 2


def test_two_lists_have_equally_many_texts_of_each_stratum():
    """Lists whose strata are of other shares are cut to the smaller share of each, below `most` in proportion."""
    lists = []
    for share in (4, 2):
        items = planting.planted_data(240, per_group=4, mixed=True).items
        lists.append(tuple(dataclasses.replace(i, stratum="ab"[int(i.group[-4:]) % share == 0]) for i in items))
    first, second = (dataclasses.replace(planting.planted_data(240, per_group=4), items=items) for items in lists)
    for most, counts in ((240, {"a": 120, "b": 60}), (90, {"a": 60, "b": 28})):
        parts = two_lists(first, second, most, 0)
        assert [Counter(part.strata) for part in parts] == [counts, counts]
    numbers = dataclasses.replace(
        first, kind="number", items=tuple(dataclasses.replace(i, label=n) for n, i in enumerate(first.items))
    )
    assert [len(part) for part in two_lists(numbers, numbers, 100, 0)] == [96, 96]
    apart = dataclasses.replace(first, items=tuple(dataclasses.replace(i, stratum="c") for i in first.items))
    with pytest.raises(DataError, match="no items"):
        two_lists(first, apart, 240, 0)


def test_word_lists_count_as_far_as_they_exceed_their_samples_of_words():
    spread = next(spreads(table_of(0)))
    wide = dataclasses.replace(spread, groups=0.1, lists=0.05, sources={Source.WORD_LIST: 0.05})
    assert wide.total == pytest.approx(0.1)
    assert dataclasses.replace(wide, sources={Source.WORD_LIST: 0.13}).total == pytest.approx(np.sqrt(0.01 + 0.0144))


def test_an_interval_from_two_lists_alone_holds_their_mean_in_three_quarters_of_cases():
    """The exact share is that of the angles t of which |cos t| is below 1.96 |cos t - sin t| / sqrt(2)."""
    t = np.linspace(0, np.pi, 100_001)
    assert np.mean(np.abs(np.cos(t)) < 1.96 * np.abs(np.cos(t) - np.sin(t)) / np.sqrt(2)) == pytest.approx(
        0.75, abs=0.005
    )
    held = []
    for first, second in np.random.default_rng(0).standard_normal((400, 2)):
        row = {"level": "item", "n": 1, "value": 1.0, "peak_layer": 1, "peak_error": 0.0, "emergence_error": 0.0}
        depths = [(AS_RUN, first), (FIRST_LIST, first), (SECOND_LIST, second)]
        rows = [
            {**row, "source": variant.source, "variant": variant.name, "peak": at, "emergence": at}
            for variant, at in depths
        ]
        spread = peak_of(pl.DataFrame(rows))
        held.append(abs(spread.estimate) < 1.96 * spread.total)
    assert np.mean(held) == pytest.approx(0.75, abs=0.07)


def test_lists_are_compared_on_the_data_sets_and_strata_that_both_have():
    (relations,) = registry.get("tasks", "relations").build("quick")
    first, second = two_lists(relations, relations.other_words, 240, 0)
    assert set(relations.strata) == {"place", "part", "kind", "use"}
    assert set(first.strata) == set(second.strata) == {"part", "kind"}
    items = {data.name: data for data in registry.get("tasks", "items").build("quick")}
    variants = {name: probed_variants(data, 240, SPEC, 0) for name, data in items.items()}
    assert {name for name, of_set in variants.items() if SECOND_LIST in of_set} == {"edible", "animal", "manmade"}
    assert all((FIRST_LIST in of_set) == (SECOND_LIST in of_set) for of_set in variants.values())
    assert all(len(design.data) <= 240 for of_set in variants.values() for design in of_set.values())
    pairs = [(of_set[FIRST_LIST], of_set[SECOND_LIST]) for of_set in variants.values() if SECOND_LIST in of_set]
    pairs.append(tuple(probed_variants(relations, 240, SPEC, 0)[variant] for variant in (FIRST_LIST, SECOND_LIST)))
    compared = [tuple(design.data for design in pair) for pair in pairs]
    grammar = registry.get("tasks", "grammar").build("standard")
    compared += [two_lists(data, data.other_words, 240, 0) for data in grammar]
    for pair in compared:
        first, second = (Counter((item.stratum, item.label) for item in data.items) for data in pair)
        assert first == second
    assert [len(pair[0]) for pair in compared[-3:]] == [208, 240, 240]


def test_a_part_of_the_texts_is_whole_groups():
    data = planting.planted_data(120, per_group=4)
    part = first_texts(data, 50, 0)
    assert len(part.items) == 48
    assert all(len([i for i in part.items if i.group == g]) == 4 for g in {item.group for item in part.items})
    assert first_texts(data, 1000, 0) == data


def test_every_variant_has_a_design_and_lists_that_cannot_be_probed_are_left_out():
    designs = probed_variants(dataclasses.replace(DATA, other_words=OTHER_WORDS), 240, SPEC, 0)
    sources = [variant.source for variant in designs]
    assert sources.count(Source.WORDING) == WORDINGS - 1
    assert [variant for variant in designs if variant.source is Source.WORD_LIST] == [FIRST_LIST, SECOND_LIST]
    assert designs[SECOND_LIST].data.texts == OTHER_WORDS.texts
    elsewhere = tuple(dataclasses.replace(item, stratum="elsewhere") for item in OTHER_WORDS.items)
    third = tuple(
        dataclasses.replace(item, label="class 2" if n % 3 else item.label) for n, item in enumerate(elsewhere)
    )
    for items in (elsewhere, tuple(dataclasses.replace(item, stratum="all") for item in third)):
        unlike = dataclasses.replace(DATA, other_words=dataclasses.replace(OTHER_WORDS, items=items))
        assert Source.WORD_LIST not in {variant.source for variant in probed_variants(unlike, 240, SPEC, 0)}
    assert Source.WORD_LIST not in {variant.source for variant in probed_variants(DATA, 240, SPEC, 0)}


def test_the_second_list_is_part_of_what_a_run_reads():
    other = dataclasses.replace(OTHER_WORDS, items=OTHER_WORDS.items[:100])
    known = {str(dataclasses.replace(DATA, other_words=words).identity()) for words in (None, OTHER_WORDS, other)}
    assert len(known) == 3


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
    assert set(table["source"]) == {source.value for source in Source} - {"word list"}  # a file is one list
    assert len(table.filter(source=Source.WORDING)) == WORDINGS - 1
    assert "Does it depend on wording" in run.report_path.read_text(encoding="utf-8")
    (shown,) = robustness_exhibits(run.folder)
    assert set(shown.table["Two word lists"]) == {"not measured"}


def test_a_run_recommends_by_the_curves_of_all_wordings(tiny_model_dir, tmp_path, monkeypatch):
    """The curves of other wordings have the run's own groups and draws; without the stage there are none."""
    given, advise = [], analysing.advise
    monkeypatch.setattr(analysing, "advise", lambda *args: given.append(args) or advise(*args))
    for robustness in (True, False):
        (tmp_path / str(robustness)).mkdir()
        small_runs.warm_and_cold(tiny_model_dir, tmp_path / str(robustness), 40, robustness=robustness)
    (curves, reworded), (_, none) = ((args[0], args[3].reworded) for args in given)
    assert none == {}
    own = next(curve for curve in curves if curve.component == "resid")
    assert {(own.level, task, "resid") for task in {curve.task for curve in curves}} == set(reworded)
    for several in reworded.values():
        assert len(several) == WORDINGS - 1
        for curve in several:
            assert curve.draws.shape == own.draws.shape
            assert curve.half_a.shape == own.half_a.shape
            assert not np.array_equal(curve.estimate, own.estimate)


def test_a_run_probes_the_properties_of_which_there_are_two_lists(tiny_model_dir, tmp_path):
    run = la.run(
        "hierarchy",
        model=str(tiny_model_dir),
        size="quick",
        tasks=["items"],
        components=["resid"],
        probe={"methods": ("ridge",), "repeats": 1, "shuffles": 20, "bootstrap": 100},
        settings={"robustness": True},
        out=tmp_path / "run",
    )
    table = pl.read_parquet(run.folder / "robustness.parquet").filter(source=Source.WORD_LIST)
    assert table.select("level", "variant", "n").rows() == [("item", "1", 360), ("item", "2", 360)]


def test_texts_that_cannot_be_divided_are_used_whole():
    items = [Item(f"t{i}", f"c{i % 2}", f"g{i // 3}") for i in range(12)]
    data = Dataset("few", "few", tuple(items))
    assert part_of(data, 5, SPEC, 0) == data
