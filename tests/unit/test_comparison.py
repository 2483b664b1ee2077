"""Comparison of runs: refusals in one line, paired differences, similarity, and a page that is whole in itself."""

from __future__ import annotations

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fake_models as fake
from fake_models import FakeModel
from layeratlas import api
from layeratlas.comparison import compare
from layeratlas.comparison import page as comparing
from layeratlas.comparison.cohort import read_cohorts
from layeratlas.comparison.differences import difference_findings, differences
from layeratlas.comparison.models import read_models
from layeratlas.comparison.overview import _in_words
from layeratlas.core.errors import AtlasError, StoreError
from layeratlas.runs.draws import Draws
from layeratlas.stats.contrasts import verdict_of
from layeratlas.stats.draws import Key, LevelDraws
from layeratlas.stats.quantities import Quantity, curve_quantities
from layeratlas.store.rows import read_rows

PEAKS = {"item": 0.2, "relation": 0.4, "analogy": 0.55}
EARLY = FakeModel("early", lambda level, d: fake.hump(PEAKS[level])(d))
LATE = FakeModel("late", lambda level, d: fake.hump(PEAKS[level] + 0.25)(d), layers=32, parameters=2e9)


def write(tmp_path: Path, *models: FakeModel) -> list[Path]:
    return [fake.write_model(tmp_path / m.name, m) for m in models]


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "build_comparison", lambda folder: folder)


def table(folders: list[Path]) -> pl.DataFrame:
    (cohort,) = read_cohorts(folders)
    return differences(cohort.study, read_models(cohort))


def test_models_at_their_ceiling_everywhere_are_not_said_to_peak_at_the_same_depth(tmp_path):
    """The mean of all tied layers is the middle in every draw of both."""
    flat = [FakeModel(name, lambda level, d: np.ones_like(d), 40, spread=0.0) for name in ("a", "b")]
    sharp = [FakeModel(name, lambda level, d: fake.hump(0.4)(d), 40, spread=1e-4) for name in ("c", "d")]
    verdicts = [
        set(table(write(tmp_path, *models)).filter(quantity="peak depth")["verdict"]) for models in (flat, sharp)
    ]
    assert verdicts == [{"inconclusive"}, {"not supported"}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "running"}, r"is not finished; expected a finished run; run it again to resume"),
        (
            {"spec.size": "full"},
            r"size full against quick; .*layeratlas run hierarchy --model late --size quick",
        ),
        ({"texts": None}, r"does not say which texts it read; .*run again: layeratlas run hierarchy --model late"),
        ({"texts": "other"}, r"other texts of the same names; expected the same texts; run again: layeratlas run"),
        ({"datasets": [{"name": "mine"}], "texts": "other"}, r"other texts \(mine against item, relation, analogy\)"),
        ({"spec.capture.position": "mean"}, r"position mean against last; expected the same position"),
        ({"spec.probe.repeats": 7}, r"probe settings, repeats 7 against 5"),
        ({"spec.model.bos": "never"}, r"BOS policy never against auto"),
        ({"spec.seed": 3}, r"seed 3 against 0"),
        ({"spec.settings": {"mdl": True}}, r"study settings, mdl True against None"),
        ({"versions.torch": "1.0"}, r"torch 1\.0 against 2\.9\.1"),
        ({"versions.transformers": "4.0"}, r"transformers 4\.0 against 5\.23\.0"),
        (
            {"spec.study": "exits"},
            r"only run of the study .*; expected runs of one study, or two models or more of each",
        ),
        ({"model.files": {"a.safetensors": "1"}}, None),
    ],
)
def test_what_cannot_be_compared_is_one_line_that_says_what_to_run(tmp_path, change, message):
    folders = write(tmp_path, EARLY, replace(EARLY, name="middle"), replace(LATE, change=change))
    if message is None:
        assert len(read_cohorts(folders)[0].runs) == 3
        return
    with pytest.raises(AtlasError, match=message) as caught:
        read_cohorts(folders)
    assert "\n" not in str(caught.value)


def test_the_rerun_is_asked_of_the_odd_run_in_the_way_of_the_others(tmp_path):
    same = {"spec.tasks": ["items"], "spec.capture.position": "mean", "spec.probe.methods": ["ridge"]}
    same |= {"spec.capture.components": ["resid"]}
    models = [replace(EARLY, change=same), replace(LATE, change=same), replace(EARLY, name="odd")]
    wanted = r"odd.*--model odd --size quick --task items --probe ridge .*--component=resid --position mean"
    with pytest.raises(StoreError, match=wanted):
        read_cohorts(write(tmp_path, *models))


def test_one_run_a_run_twice_and_a_model_twice_are_refused(tmp_path):
    (one,) = write(tmp_path, EARLY)
    for folders, message in (
        ([one], "1 run to compare .*two or more, each of another model; layeratlas run hierarchy --model OTHER"),
        ([one, one], "is named twice"),
        ([one, fake.write_model(tmp_path / "again", EARLY)], "are runs of the same model \\(early\\)"),
        ([one, tmp_path / "nowhere"], "does not exist; expected a run folder"),
    ):
        with pytest.raises(AtlasError, match=message):
            read_cohorts(folders)


def test_models_of_the_same_name_and_other_weights_are_told_apart(tmp_path):
    runs = [replace(EARLY, change={"model.files": {"model.safetensors": str(i)}}) for i in (1, 2)]
    folders = [fake.write_model(tmp_path / f"run{i}", one) for i, one in enumerate(runs)]
    assert set(read_cohorts(folders)[0].names) == {"early (run0)", "early (run1)"}


def test_models_stand_by_family_and_size_and_a_family_can_be_named(tmp_path):
    folders = write(tmp_path, LATE, EARLY, replace(EARLY, name="aardvark", family="zeta"))
    assert read_cohorts(folders)[0].names == ("early", "late", "aardvark")
    assert read_cohorts(folders, {"first": "AARD"})[0].names == ("early", "late", "aardvark")
    assert read_cohorts(folders, {"a": "AARD"})[0].names == ("aardvark", "early", "late")


def test_a_later_and_a_higher_peak_are_found_and_their_intervals_hold_them(tmp_path):
    high = replace(LATE, truth=lambda level, d: fake.hump(PEAKS[level] + 0.25, 0.92)(d))
    rows = table(write(tmp_path, EARLY, high)).rows_by_key("quantity", named=True, include_key=True)
    assert all(row["verdict"] == "supported" and row["paired"] for row in rows["peak depth"])
    for name, true in (("peak depth", 0.25), ("peak value", 0.07), ("onset depth", 0.25)):
        inside = [row["lo"] <= true <= row["hi"] for row in rows[name]]
        assert sum(inside) >= 2, (name, rows[name])


@pytest.mark.parametrize(("floor", "has_onset"), [(0.5, True), (0.9, False)])
def test_a_level_that_is_read_and_does_not_exceed_its_baseline_has_a_peak_and_no_onset(floor, has_onset):
    """It never rises above its floor; the last layer, as a depth, would move to the first when training passes it."""
    truth = np.array([0.5, 0.6, 0.8, 0.75])
    draws = truth + 0.02 * np.random.default_rng(0).standard_normal((200, 4))
    halves = {"half_a": draws[:20], "half_b": draws[20:40]}
    curve = LevelDraws(estimate=truth, draws=draws, floor=np.full(4, floor), **halves)
    found = curve_quantities(curve, "resid", placed=True)
    assert "peak depth" in found
    assert ("onset depth" in found) == has_onset
    if has_onset:  # half of 0.3, between the second and the third of four points
        assert found["onset depth"].estimate == pytest.approx((1 + 0.05 / 0.2) / 3)


def test_pairing_narrows_intervals_as_far_as_noise_is_shared(tmp_path):
    widths = []
    for shared in (0.0, 0.9):
        pair = [replace(EARLY, shared=shared), replace(EARLY, name="twin", shared=shared)]
        folders = [fake.write_model(tmp_path / f"{shared}{m.name}", m) for m in pair]
        rows = table(folders).filter(pl.col("quantity") == "peak value")
        widths.append(float((rows["hi"] - rows["lo"]).mean()))
    assert widths[1] < 0.45 * widths[0]


def test_a_level_that_is_not_read_has_a_value_and_no_place(tmp_path):
    flat = replace(LATE, truth=lambda level, d: np.full(len(d), 0.5) if level == "item" else fake.hump(0.5)(d))
    rows = table(write(tmp_path, EARLY, flat)).filter(pl.col("level") == "item")
    assert set(rows["quantity"]) == {"peak value", "last value"}


def test_a_difference_whose_interval_holds_none_is_not_told():
    lopsided = Quantity(
        estimate=0.1, noise=np.concatenate([np.full(50, -0.12), np.full(950, 0.006)]), grain=0.0, unit="depth"
    )
    assert lopsided.interval[0] < 0 < lopsided.interval[1]
    assert verdict_of(lopsided, 0.04) == "inconclusive"
    even = Quantity(estimate=0.1, noise=np.linspace(-0.05, 0.05, 1000), grain=0.0, unit="depth")
    assert [verdict_of(even, p) for p in (0.04, 0.06)] == ["supported", "inconclusive"]
    assert verdict_of(Quantity(estimate=0.01, noise=even.noise / 5, grain=0.0, unit="depth"), 0.2) == "not supported"


def test_the_map_does_not_show_what_was_not_read(tmp_path, no_page):
    """Noise of a level that no model reads would else be stretched over the whole scale."""

    def truth(level: str, depth: np.ndarray) -> np.ndarray:
        return np.full(len(depth), 0.5) if level == "item" else fake.hump(0.5)(depth)

    half = replace(EARLY, name="half", truth=truth, parameters=3e9)
    for i, other in enumerate((replace(LATE, truth=truth), EARLY)):
        curves = pl.read_parquet(compare(write(tmp_path, half, other), tmp_path / f"out{i}") / "curves.parquet")
        most = {row[:2]: row[2] for row in curves.group_by("model", "entry").agg(pl.col("shade").max()).iter_rows()}
        assert most["half", "item"] == 0
        assert most[other.name, "item"] == i
        assert max(most["half", "relation"], most[other.name, "relation"]) == 1


def test_boundaries_and_brittleness_without_draws_are_compared_by_their_intervals(tmp_path):
    one = replace(EARLY, study="segments", boundaries=(0.2, 0.7), brittleness={"Local": 1.0})
    two = replace(LATE, study="segments", boundaries=(0.45, 0.7), brittleness={"Local": 30.0})
    found = table(write(tmp_path, one, two))
    rows = {r["quantity"]: r for r in found.rows(named=True) if r["level"] in ("boundaries", "Local")}
    assert (rows["boundary 1"]["verdict"], rows["boundary 1"]["paired"]) == ("supported", False)
    assert rows["boundary 2"]["verdict"] != "supported"
    assert rows["brittleness"]["estimate"] == pytest.approx(np.log10(30), abs=1e-6)


def test_boundaries_that_are_not_there_do_not_differ(tmp_path):
    early, late = (replace(model, study="segments") for model in (EARLY, LATE))
    folders = write(tmp_path, replace(early, boundaries=(0.2, 0.7)), replace(late, boundaries=(0.45, 0.9)))
    said = pl.col("finding") == "boundary"
    for doubted, verdict in ((None, "supported"), (folders[1], "inconclusive")):
        if doubted:
            found = pl.read_parquet(doubted / "findings.parquet")
            no = pl.when(said).then(pl.lit("not supported")).otherwise(pl.col("verdict")).alias("verdict")
            found.with_columns(no).write_parquet(doubted / "findings.parquet")
        (cohort,) = read_cohorts(folders)
        models = read_models(cohort)
        rows = differences(cohort.study, models)
        mine = rows.filter(pl.col("quantity").str.starts_with("boundary"))
        assert set(mine["verdict"]) == {verdict}
        told = next(f for f in difference_findings(rows, models) if f.finding == "boundary 1")
        assert ("In late no two boundaries were found" in told.statement) is bool(doubted)


def keep_boundaries(
    folder: Path, at: tuple[float, float], noise: np.ndarray, layers: int, method: str = "exact"
) -> None:
    parts = [
        pl.DataFrame({"method": method, "draw": np.arange(len(noise)), "boundary": i, "layer": (b + noise) * layers})
        for i, b in enumerate(at, 1)
    ]
    pl.concat(parts).sample(fraction=1, shuffle=True, seed=0).write_parquet(folder / "boundary_draws.parquet")


def test_draws_of_boundaries_make_them_paired(tmp_path):
    one = replace(EARLY, study="segments", boundaries=(0.2, 0.7))
    two = replace(LATE, study="segments", boundaries=(0.3, 0.7))
    folders = write(tmp_path, one, two)
    noise = 0.05 * np.random.default_rng(0).standard_normal(400)
    for folder, model in zip(folders, (one, two), strict=True):
        keep_boundaries(folder, model.boundaries, noise, model.layers)
    row = table(folders).filter(pl.col("quantity") == "boundary 1").row(0, named=True)
    assert row["paired"]
    assert "paired over groups" in row["null"]
    assert row["hi"] - row["lo"] < 0.08  # of the grain of the layers alone
    # One run without draws, with fewer, or of another way of cutting: nothing to pair.
    for change in (
        lambda folder: keep_boundaries(folder, two.boundaries, noise[:300], two.layers),
        lambda folder: keep_boundaries(folder, two.boundaries, noise, two.layers, "v1"),
        lambda folder: (folder / "boundary_draws.parquet").write_bytes(b"no"),
        lambda folder: (folder / "boundary_draws.parquet").unlink(),
    ):
        change(folders[1])
        loose = table(folders).filter(pl.col("quantity") == "boundary 1").row(0, named=True)
        assert not loose["paired"]
        assert "two runs' own intervals" in loose["null"]
        assert loose["estimate"] == row["estimate"]
        assert loose["hi"] - loose["lo"] > 1.3 * (row["hi"] - row["lo"])


def test_draws_come_back_as_they_were_and_a_broken_file_is_one_line(tmp_path):
    (folder,) = write(tmp_path, EARLY)
    kept = Draws(folder)
    key = Key("item", "resid", "ridge", "accuracy")
    runs = fake.curve(EARLY, "item", "resid")
    found = kept.curve(key)
    assert found is not None
    np.testing.assert_allclose(found.draws, runs.draws, atol=1e-6)
    np.testing.assert_allclose(found.floor, 0.5)
    assert kept.curve(key._replace(level="none")) is None
    (folder / "draws.safetensors").write_bytes(b"no")
    with pytest.raises(StoreError, match=r"draws\.safetensors' is missing or cannot be read; expected the draws"):
        Draws(folder)


def _drift(n: int, points: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((points, n, 8))
    for i in range(1, points):
        z[i] = 0.8 * z[i - 1] + 0.6 * z[i]
    return z


def _seen(z: np.ndarray, points: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, 1])
    turn = rng.standard_normal((z.shape[2], width))
    at = np.round(np.linspace(0, len(z) - 1, points)).astype(int)
    return np.stack([z[i] @ turn + 0.5 * rng.standard_normal((z.shape[1], width)) for i in at], 1)


def test_the_map_tells_shared_layers_from_unrelated_ones_and_no_verdict_rests_on_it(tmp_path, no_page):
    models = [EARLY, LATE, replace(EARLY, name="other"), replace(EARLY, name="gone")]
    folders = write(tmp_path, *models)
    same, own = _drift(72, 25, 0), _drift(72, 25, 1)
    for i, (folder, z) in enumerate(zip(folders[:3], (same, same, own), strict=True)):
        fake.write_vectors(folder, _seen(z, models[i].layers + 1, 24 + 8 * i, i), [*fake.LEVELS] * 24)
    comparison = api.Comparison(compare(folders, tmp_path / "out"))
    assert comparison.similarity.height == 3 * 16 * 16
    equal = comparison.similarity.filter((pl.col("depth_a") - pl.col("depth_b")).abs() < 0.03)
    diagonal = dict(equal.group_by(pl.col("model_a") + " / " + pl.col("model_b")).agg(pl.col("cka").mean()).iter_rows())
    assert diagonal["early / late"] > 0.5
    assert abs(diagonal["early / other"]) < 0.1
    assert abs(diagonal["other / late"]) < 0.1
    assert not comparison.findings["method"].str.contains("CKA").any()
    assert any("gone is left out" in note and "deleted" in note for note in comparison.manifest["notes"])


def test_rows_are_those_of_the_store(tmp_path):
    (folder,) = write(tmp_path, EARLY)
    vectors = np.random.default_rng(0).standard_normal((20, 25, 6))
    fake.write_vectors(folder, vectors, ["item"] * 20)
    found = read_rows(folder / "activations", "resid", [0, 7, 24], [15, 2, 9])
    np.testing.assert_array_equal(found, vectors[[15, 2, 9]][:, [0, 7, 24]].transpose(1, 0, 2).astype(np.float32))
    with pytest.raises(StoreError, match="lacks some of the texts"):
        read_rows(folder / "activations", "resid", [0], [99])


def test_the_page_is_whole_and_can_be_rebuilt_from_its_tables(tmp_path):
    hostile = "<script>window.pwned=1</script>"
    third = replace(LATE, name=hostile, family="beta", parameters=5e9, boundaries=(0.3, 0.6))
    folders = [fake.write_model(tmp_path / f"run{i}", m) for i, m in enumerate((EARLY, LATE, third))]
    found = api.compare(folders, out=tmp_path / "out")
    page = (found.folder / "comparison.html").read_text(encoding="utf-8")
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""\b(src|href)\s*=\s*(?!["']?#)""", markup)
    assert "pwned" in page
    assert hostile not in page
    assert all(found.findings["statement"].str.len_chars() > 20)
    packed = re.search(r'id="data">(.*?)</script>', page, re.S)[1]
    for row in json.loads(gzip.decompress(base64.b64decode(packed)))["rows"]["atlas"]["url"]["names"]:
        assert f'id="{row[1:]}"' in page
    assert (found.folder / "figures/atlas.svg").read_bytes().startswith(b"<svg")
    (found.folder / "comparison.html").unlink()
    comparing.build_comparison(found.folder)
    assert (found.folder / "comparison.html").read_text(encoding="utf-8") == page
    assert found.manifest["status"] == "complete"
    assert {"seconds", "peak_memory_mb"} <= found.manifest.keys()


def test_runs_of_several_studies_are_compared_study_by_study(tmp_path, no_page):
    others = [replace(m, study="exits", levels=("facts",), name=m.name) for m in (EARLY, LATE)]
    truth = replace(others[0], truth=lambda level, d: fake.hump(0.9)(d)), replace(others[1], truth=fake.rise(0.8))
    folders = write(tmp_path / "h", EARLY, LATE) + write(tmp_path / "e", *truth)
    found = api.Comparison(compare(folders, tmp_path / "out"))
    assert found.manifest["studies"] == ["hierarchy", "exits"]
    assert set(found.differences["study"]) == {"hierarchy", "exits"}


def test_a_folder_with_other_things_is_left_alone(tmp_path, no_page):
    folders = write(tmp_path, EARLY, LATE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("private")
    with pytest.raises(StoreError, match="is not empty and holds no comparison"):
        compare(folders, tmp_path / "mine")
    assert compare(folders, tmp_path / "out") == compare(folders, tmp_path / "out")


def test_two_models_are_told_apart_by_what_differs_most_and_what_agrees(tmp_path, no_page):
    """The overview restates verdicts of the comparison, largest difference first, in the words of its findings."""
    found = api.Comparison(compare(write(tmp_path, EARLY, LATE), tmp_path / "out"))
    lines = {line["says"]: line["text"] for line in found.manifest["overview"]}
    assert lines["shown in both"] == "item properties, two-item relations, four-item analogies."
    named = re.findall(
        r"peak depth of ([\w -]+): ([\d.]+) in early, ([\d.]+) in late, ([+-][\d.]+)", lines["differs most"]
    )
    levels = found.manifest["levels"]
    gaps = found.differences.filter(quantity="peak depth").sort(pl.col("estimate").abs(), descending=True)
    assert [level for level, *_ in named] == [levels[level] for level in gaps["level"]]
    assert all(float(late) - float(early) == pytest.approx(float(by), abs=0.011) for _, early, late, by in named)
    # Negative control: of two models with the same curves nothing differs, and some values are equal.
    twin = replace(EARLY, name="twin", parameters=2e9)
    alike = api.Comparison(compare(write(tmp_path / "alike", EARLY, twin), tmp_path / "same"))
    lines = {line["says"]: line["text"] for line in alike.manifest["overview"]}
    assert "differs most" not in lines
    assert set(lines) - {"equal", "no difference detected"} == {"shown in both"}
    # What nothing could decide here is no line of the end of the command.
    summary = found.summary().splitlines()
    assert "cannot be measured" not in found.summary()
    assert summary[1].startswith("  shown in both: ")
    assert summary[-1] == f"  {len(found.findings)} findings with intervals, p-values and nulls are on the page:"


def without_items(name: str, **changed: object) -> FakeModel:
    truth = EARLY.truth
    return replace(
        EARLY,
        name=name,
        truth=lambda level, d: np.full_like(d, 0.5) if level == "item" else truth(level, d),
        **changed,  # type: ignore[arg-type]
    )


def first_lines(tmp_path: Path, *models: FakeModel) -> dict[str, str]:
    found = api.Comparison(compare(write(tmp_path, *models), tmp_path / "out"))
    return {line["says"]: line["text"] for line in found.manifest["overview"]}


def test_a_level_that_one_model_alone_has_is_named_with_it(tmp_path, no_page):
    lines = first_lines(tmp_path, EARLY, without_items("flat", small=("item",)))
    assert lines["shown in early alone"] == "item properties."
    assert lines["shown in both"] == "two-item relations, four-item analogies."
    assert "peak value of item properties: " in lines["differs most"]
    # Negative control: a run that could not decide does not show that its model lacks the level.
    lines = first_lines(tmp_path / "undecided", EARLY, without_items("flat"))
    assert lines["shown in early; undecided in flat"] == "item properties."
    assert not any("alone" in says for says in lines)


def test_a_level_has_the_state_that_each_run_gave_it(tmp_path, no_page):
    small, undecided = without_items("small", small=("item",)), without_items("undecided")
    untested = replace(EARLY, name="untested", levels=("relation", "analogy"))
    lines = first_lines(tmp_path, EARLY, small, undecided, untested)
    says = "shown in early; undecided in undecided; too small to matter in small; not tested in untested"
    assert lines[says] == "item properties."
    assert lines["shown in all"] == "two-item relations, four-item analogies."
    lines = first_lines(tmp_path / "none", small, replace(small, name="smaller"))
    assert lines["too small to matter in both"] == "item properties."
    lines = first_lines(tmp_path / "unknown", undecided, replace(undecided, name="too"))
    assert lines["undecided in both"] == "item properties."


def test_a_level_is_of_one_model_alone_only_where_the_two_differ():
    """Shown in one and too small to matter in the other, two models may still be equal within the margin."""
    states = {"a": "shown", "b": "too small to matter", "c": "too small to matter"}
    both = {frozenset("ab"), frozenset("ac")}
    assert _in_words(states, both) == "shown in a alone"
    for apart in ({frozenset("ab")}, {frozenset("bc")}, set()):
        assert _in_words(states, apart) == "shown in a; too small to matter in b, c"
    assert _in_words(states | {"c": "undecided"}, both) == "shown in a; undecided in c; too small to matter in b"


def test_two_sizes_cannot_show_what_size_does(tmp_path, no_page):
    found = api.Comparison(compare(write(tmp_path, EARLY, LATE), tmp_path / "out"))
    row = found.findings.filter(pl.col("finding") == "size").row(0, named=True)
    assert row["verdict"] == "inconclusive"
    assert "on 2 sizes of a family" in row["statement"]
    assert {"H1", "X7", "P1.1", "P-brittleness"} <= set(found.claims["claim"])
