"""A study over training: the step in a name, planted courses and flat ones, and weights under several names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import fake_models as fake
import layeratlas as la
from fake_models import FakeModel
from layeratlas import api
from layeratlas.api.specs import TRAINED, make_specs
from layeratlas.comparison import charts, training
from layeratlas.comparison import page as comparing
from layeratlas.comparison.cohort import read_cohorts
from layeratlas.comparison.compare import compare
from layeratlas.comparison.finished import FinishedComparison
from layeratlas.comparison.rows import MARK, chart_rows, map_order
from layeratlas.comparison.training import Course, _drifts
from layeratlas.core.errors import AtlasError
from layeratlas.core.progress import Progress
from layeratlas.core.steps import Checkpoint, checkpoint_in, checkpoints_below, is_training, name_of
from layeratlas.models.sources import find_source
from layeratlas.runs.quantity import Place
from layeratlas.stats.emergence import emergence_depth
from layeratlas.stats.quantities import Quantity
from layeratlas.stats.training import OverTraining, drift, emerged
from layeratlas.stats.verdicts import Effect
from layeratlas.sweeps.training import plan_of
from layeratlas.sweeps.units import units_of

STEPS = (10, 20, 40, 80, 160, 320, 640)
Truth = Callable[[str, np.ndarray], np.ndarray]
EARLY, LATE = 40.0, 250.0
LAST = ["small step640", "large step640"]


def learned(step: int, at: float) -> float:
    """The share of a level that a training has learned at a step."""
    return 1 / (1 + (at / step) ** 3)


def planted(step: int) -> Truth:
    """Items are learned at step 40 and move from depth 0.6 to 0.3, relations at 250 and stay, analogies never."""
    centre = 0.6 - 0.3 * np.log2(step / STEPS[0]) / np.log2(STEPS[-1] / STEPS[0])
    gains = {"item": (centre, learned(step, EARLY)), "relation": (0.5, learned(step, LATE)), "analogy": (0.5, 0.0)}
    return lambda level, depth: fake.hump(gains[level][0], 0.5 + 0.35 * gains[level][1])(depth)


def flat(step: int) -> Truth:
    """Every level is there from the first checkpoint on, at the same depth."""
    return lambda level, depth: fake.hump(0.5, 0.8)(depth)


def write(folder: Path, truth: Callable[[int], Truth], series: str = "small", **changed: object) -> list[Path]:
    models = [FakeModel(f"{series} step{step}", truth(step), layers=16) for step in STEPS]
    return [fake.write_model(folder / f"{m.name}", replace(m, **changed)) for m in models]


@pytest.fixture(autouse=True)
def no_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "page" not in request.node.name:
        monkeypatch.setattr(comparing, "build_comparison", lambda folder: folder)


def findings(folders: Sequence[Path], out: Path) -> pl.DataFrame:
    return pl.read_parquet(compare(folders, out) / "findings.parquet")


def verdicts(table: pl.DataFrame, kind: str) -> dict[str, str]:
    return {f"{row['level']}": row["verdict"] for row in table.filter(pl.col("finding") == kind).to_dicts()}


def follow_p(folders: Sequence[Path], out: Path) -> dict[str, float]:
    """The p of `answers after levels`, by training."""
    rows = findings(folders, out).filter(pl.col("finding") == "answers after levels").to_dicts()
    return {row["statement"].split("training of ")[1].split(",")[0]: row["p"] for row in rows}


@pytest.mark.parametrize(
    ("name", "series", "step"),
    [
        ("pythia-70m step1000", "pythia-70m", 1000),
        ("OLMo-2 stage1-step2000-tokens9B", "OLMo-2 stage1", 2000),
        ("run checkpoint-500", "run", 500),
        ("global_step64", "", 64),
        ("llama-step_7", "llama", 7),
    ],
)
def test_a_name_tells_its_series_and_step(name, series, step):
    assert checkpoint_in(name) == Checkpoint(series, step)


@pytest.mark.parametrize("name", ["Qwen3-0.6B", "stepfun-3b", "footstep12b", "main", "checkpoint"])
def test_a_name_without_a_step_tells_none(name):
    assert checkpoint_in(name) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/stories260K/hf", "stories260K"),
        ("/data/stories260K/ggml-model-q4_0", "stories260K q4_0"),
        ("/data/stories260K/model-f16", "stories260K f16"),
        ("/data/stories260K/model", "stories260K"),
        ("/data/models/hf", "hf"),  # neither says which model it is
        ("/data/stories260K", "stories260K"),
        ("/data/Qwen3-0.6B-hf", "Qwen3-0.6B-hf"),
        ("/data/stories260K/step80", "stories260K step80"),
        ("/data/stories260K/final", "stories260K final"),
        ("/data/a/checkpoint-500/hf", "a checkpoint-500"),
        ("/data/a/hf/checkpoint-500", "a checkpoint-500"),
        ("/data/a/checkpoints/step80", "a step80"),
        ("/data/a/final/hf", "a final"),
        ("/data/a/step80/model-q4_0", "a step80 q4_0"),
        ("/step80", "step80"),
        (str(Path.home() / "step80" / "hf"), "step80"),
        (str(Path.home() / "hf"), "hf"),  # no name of a user
        (f"/cache/hub/models--org--small-7b/snapshots/{'0a' * 20}", "small-7b"),
    ],
)
def test_a_model_is_named_by_the_part_of_its_path_that_says_which_it_is(path, name):
    assert name_of(Path(path)) == name


@pytest.mark.parametrize("last", ["", "hf", "model", "model-q4_0"])
@pytest.mark.parametrize("middle", ["", "hf", "checkpoints"])
def test_checkpoints_of_two_trainings_have_two_series_in_any_form(middle, last):
    def series(training: str, step: int) -> str:
        found = checkpoint_in(name_of(Path("/data", training, middle, f"checkpoint-{step}", last)))
        assert found is not None
        assert found.step == step
        return found.series

    assert [series("a", 500), series("a", 600), series("b", 600)] == ["a", "a", "b"]


def test_a_file_above_the_working_directory_is_named_by_its_directory(tmp_path, monkeypatch):
    inner = tmp_path / "small" / "checkpoint-500" / "notes"
    inner.mkdir(parents=True)
    (inner.parent / "model-q4_0.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(inner)
    assert find_source("../model-q4_0.gguf").name == "small checkpoint-500 q4_0"


def test_names_of_a_step_alone_are_models_of_their_own(tmp_path):
    """No name tells that two such runs are of one training; with a name that does, the earlier one is no model."""

    def final(*names: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        folders = [fake.write_model(tmp_path / name, FakeModel(name, planted(80))) for name in names]
        (cohort,) = read_cohorts(folders)
        return cohort.final.names, cohort.notes

    names, notes = final("checkpoint-500", "checkpoint-600")
    assert set(names) == {"checkpoint-500", "checkpoint-600"}
    assert any("checkpoint-500, checkpoint-600: the names tell a step and no training" in note for note in notes)
    names, notes = final("a checkpoint-500", "a checkpoint-600")
    assert names == ("a checkpoint-600",)
    assert not any("no training" in note for note in notes)


def test_two_trainings_of_one_name_are_two_series(tmp_path):
    """Two folders `ladder` with a step80 each; a folder that was moved between two steps is one training still."""

    def series(*places: str, steps: dict[int, str] | None = None) -> dict[str, int]:
        folders = []
        for number, place in enumerate(places):
            step = next((part for part in place.split("/") if part.startswith("step")), "")
            model = FakeModel(f"ladder {step}".strip(), planted(80))
            folder = fake.write_model(tmp_path / f"{len(places)}{number}{place.replace('/', '')}", model)
            manifest = json.loads((folder / "run.json").read_text())
            manifest["model"] |= {"id": place, "files": {"model.safetensors": str(number)}}
            (folder / "run.json").write_text(json.dumps(manifest))
            folders.append(folder)
        (cohort,) = read_cohorts(folders, steps=steps)
        return {series: len(names) for series, names in sorted(cohort.series.items())}

    two = ("/one/ladder/step80", "/one/ladder/step160", "/other/ladder/step80", "/other/ladder/step160")
    assert series(*two) == {"ladder (one)": 2, "ladder (other)": 2}
    assert series("/one/ladder/step80", "/moved/ladder/step160") == {"ladder": 2}
    # The same with steps that --step names.
    named = ("/one/ladder/early", "/one/ladder/late", "/other/ladder/early", "/other/ladder/late")
    assert series(*named, steps={10: "early", 20: "late"}) == {"ladder (one)": 2, "ladder (other)": 2}
    # Two forms of one checkpoint are of one training, however their files differ.
    assert series("/one/ladder/step80/hf", "/one/ladder/step80/model-q4_0.gguf", "/one/ladder/step160/hf") == {
        "ladder": 3
    }


def test_a_folder_of_checkpoints_is_read_by_step_and_becomes_one_run_for_each(tmp_path):
    for name in ("step1000", "step80", "notes", "step9"):
        (tmp_path / "small" / name).mkdir(parents=True)
        if name != "step9":  # no model
            (tmp_path / "small" / name / "config.json").write_text("{}")
    folder = tmp_path / "small"
    assert [path.name for path in checkpoints_below(folder)] == ["step80", "step1000"]
    assert name_of(folder / "step80") == "small step80"
    assert is_training([str(folder)], [])
    assert not is_training([str(folder / "step80")], ["step80"])
    units = units_of(plan_of("hierarchy", [str(folder)], [], "quick", {"tasks": ("items",)}))
    assert [(unit.spec.model.id, unit.spec.tasks) for unit in units] == [
        (str(folder / name), ("items",)) for name in ("step80", "step1000")
    ]
    revised = units_of(plan_of("atlas", ["a/b"], ["step1", "step20"], "quick", {"settings": {"shots": 0}}))
    assert {(unit.spec.model.revision, unit.spec.study) for unit in revised} == {
        (revision, study) for revision in ("step1", "step20") for study in ("hierarchy", "exits", "segments")
    }
    assert len({unit.group for unit in revised}) == 1


def test_the_options_of_an_atlas_over_training_go_to_the_studies_that_use_them():
    """As in an atlas of one checkpoint, without the causal study; a setting of no study is not lost in silence."""
    options = {"folds": 3, "position": "mean", "chat": True, "settings": {"shots": 1, "tokens": 32}, "seed": 2}
    units = units_of(plan_of("atlas", ["a/b"], ["step1", "step20"], "quick", options))
    for revision in ("step1", "step20"):
        alone = make_specs("atlas", "a/b", "quick", {**options, "revision": revision}, TRAINED)
        assert "causal" not in {spec.study for spec in alone}
        assert [unit.spec for unit in units if unit.spec.model.revision == revision] == alone
    for wrong, message in (
        ({"settings": {"strength": 2}}, "no setting named 'strength'"),
        ({"settings": {"shotz": 1}}, "no setting named 'shotz'.*did you mean 'shots'"),
        ({"tasks": ("items",)}, "an atlas does not take the option 'tasks'"),
    ):
        with pytest.raises(AtlasError, match=message):
            plan_of("atlas", ["a/b"], ["step1", "step20"], "quick", wrong)


def test_what_is_no_training_is_one_line(tmp_path):
    for models, revisions, message in (
        ([str(tmp_path)], [], "holds no two checkpoints; expected two or more --revision"),
        (["a/b"], ["main", "step3"], "the revision 'main' names no step; .*--step STEP=PART"),
    ):
        with pytest.raises(AtlasError, match=message):
            plan_of("hierarchy", models, revisions, "quick", {})
    with pytest.raises(AtlasError, match=r"a training is of several revisions; .*; use layeratlas\.run"):
        la.training(model="a/b", revisions="step1")
    for step in (1, 2):
        (tmp_path / f"step{step}").mkdir()
        (tmp_path / f"step{step}" / "config.json").write_text("{}")
    with pytest.raises(AtlasError, match=r"holds 2 checkpoints \(step1 \.\.\.\); expected one model"):
        find_source(str(tmp_path))
    with pytest.raises(AtlasError, match=r"the steps \{.a.: 1\} are invalid"):
        api.compare([tmp_path, tmp_path], steps={"a": 1})


def test_what_was_planted_in_a_training_is_found(tmp_path):
    table = findings(write(tmp_path, planted), tmp_path / "out")
    assert verdicts(table, "learned") == {"item": "supported", "relation": "supported", "analogy": "inconclusive"}
    for level, at in (("item", EARLY), ("relation", LATE)):
        # The true mean over the shares of the rise, from the planted course itself.
        axis = np.log2(1.0 + np.array(STEPS))
        share = (axis - axis[0]) / (axis[-1] - axis[0])
        gains = np.array([learned(step, at) for step in STEPS])
        true = 2 ** (axis[0] + float(emergence_depth(gains - gains[0], share)) * (axis[-1] - axis[0])) - 1
        (row,) = table.filter(pl.col("finding") == "step of emergence", pl.col("level") == level).to_dicts()
        assert row["lo"] <= true <= row["hi"], (row["statement"], true)
        assert row["hi"] < 1.6 * row["lo"]
    moved = table.filter(pl.col("finding") == "depth over training")
    assert set(moved.filter(pl.col("level") == "item")["verdict"]) == {"supported"}
    assert all(-0.4 < move < -0.1 for move in moved.filter(pl.col("level") == "item")["estimate"])
    assert "supported" not in moved.filter(pl.col("level") != "item")["verdict"].to_list()


def test_levels_that_were_there_from_the_start_are_not_learned(tmp_path):
    table = findings(write(tmp_path, flat), tmp_path / "out")
    assert "supported" not in verdicts(table, "learned").values()
    assert "supported" not in table.filter(pl.col("finding") == "depth over training")["verdict"].to_list()
    assert table.filter(pl.col("finding") == "step of emergence").is_empty()


def test_answers_that_follow_are_told_from_those_that_come_first(tmp_path):
    late = write(tmp_path / "levels", planted)
    for name, at, verdict in (("after", 300.0, "supported"), ("before", 15.0, "not supported")):
        truth = lambda step, at=at: fake.rise(0.5 + 0.4 * learned(step, at))  # noqa: E731
        answers = write(tmp_path / name, truth, study="exits", levels=("facts",), low=0.0)
        table = findings([*late, *answers], tmp_path / f"out-{name}")
        assert verdicts(table, "answers after levels") == {"all": verdict}, name


def test_answers_after_levels_are_corrected_over_trainings(tmp_path):
    """Holm over two trainings: the smaller p is doubled, the other is not less than it; one training is as before."""
    folders: dict[str, list[Path]] = {}
    for series, at in (("small", 125.0), ("large", 85.0)):
        truth = lambda step, at=at: fake.rise(0.5 + 0.4 * learned(step, at))  # noqa: E731
        answers = write(tmp_path / series / "answers", truth, series, study="exits", levels=("facts",), low=0.0)
        folders[series] = [*write(tmp_path / series / "levels", planted, series), *answers]
    alone = {series: follow_p(found, tmp_path / f"out-{series}")[series] for series, found in folders.items()}
    both = follow_p([*folders["small"], *folders["large"]], tmp_path / "out")
    least, most = sorted(alone, key=alone.__getitem__)
    assert 0 < alone[least] < alone[most]
    assert both == pytest.approx({least: 2 * alone[least], most: max(2 * alone[least], alone[most])})


@pytest.mark.parametrize("sign", [1, -1])
def test_one_answer_after_levels_among_several_trainings_is_not_enough_by_chance(sign, tmp_path, monkeypatch):
    """p = 0.03 decides a single training, in either direction, and none of two."""
    monkeypatch.setattr(
        training, "doublings_between", lambda *sides: Effect(estimate=sign * 1.0, lo=sign - 0.9, hi=sign + 0.9, p=0.03)
    )
    folders = []
    for series, expected in (("small", ["supported", "", "not supported"][1 - sign]), ("large", "inconclusive")):
        truth = lambda step: fake.rise(0.5 + 0.4 * learned(step, 300.0))  # noqa: E731
        answers = write(tmp_path / series / "answers", truth, series, study="exits", levels=("facts",), low=0.0)
        folders += [*write(tmp_path / series / "levels", planted, series), *answers]
        table = findings(folders, tmp_path / f"out-{series}").filter(pl.col("finding") == "answers after levels")
        assert set(table["verdict"]) == {expected}


def test_levels_and_answers_are_followed_over_the_checkpoints_that_both_have(tmp_path):
    truth = lambda step: fake.rise(0.5 + 0.4 * learned(step, 300.0))  # noqa: E731
    answers = write(tmp_path / "answers", truth, study="exits", levels=("facts",), low=0.0)[2:]
    table = findings([*write(tmp_path / "levels", planted), *answers], tmp_path / "out")
    (found,) = table.filter(pl.col("finding") == "answers after levels").to_dicts()
    reach = np.log2((1 + STEPS[-1]) / (1 + STEPS[2]))
    assert found["statement"].endswith(f", of {reach:.1f} between the first checkpoint and the last.")
    assert found["estimate"] < reach


def test_equal_weights_are_found_under_other_names_of_their_files(tmp_path):
    """One checkpoint in `model.safetensors`, a later one with the same bytes in another file."""
    folders = write(tmp_path, planted)
    for step, name in ((20, "model.safetensors"), (640, "model-00001-of-00001.safetensors")):
        same = FakeModel(f"small step{step}", planted(640), layers=16, change={"model.files": {name: "final"}})
        fake.write_model(tmp_path / same.name, same)
    progress = Noted()
    compare(folders, tmp_path / "out", progress=progress)
    assert progress.notes == ["small step20 and small step640 have equal weights: they count once, as small step640."]


class Noted(Progress):
    """Keeps what a user would be told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_weights_under_several_names_count_once_and_are_named(tmp_path):
    folders = write(tmp_path, planted)
    final = {"model.files": {"model.safetensors": "final"}}
    for step in (20, 640):  # the series serves its last weights as those of step 20 too
        same = FakeModel(f"small step{step}", planted(640), layers=16, change=final)
        fake.write_model(tmp_path / same.name, same)
    progress = Noted()
    out = compare(folders, tmp_path / "out", progress=progress)
    line = "small step20 and small step640 have equal weights: they count once, as small step640."
    assert progress.notes == [line]
    assert 20 not in pl.read_parquet(out / "training.parquet")["step"].to_list()
    assert any(line in note for note in api.load(out).manifest["notes"])
    with pytest.raises(AtlasError, match="have equal weights; expected checkpoints of different weights"):
        compare([folders[1], folders[-1]], tmp_path / "two")


def test_only_the_last_checkpoint_is_a_model_among_models(tmp_path):
    small, large = write(tmp_path, planted), write(tmp_path, planted, "large", parameters=2e9)
    out = api.load(compare([*small, *large], tmp_path / "out"))
    assert len(out.models) == 14
    pairs = out.differences.select("model_a", "model_b").unique().rows()
    assert pairs == [("small step640", "large step640")]
    assert out.models[:2] == ["small step10", "small step20"]
    assert out.summary().startswith("Comparison of small (7 checkpoints), large (7 checkpoints) (hierarchy)")


def test_maps_and_curves_are_of_the_last_checkpoint_where_there_are_several_trainings(tmp_path):
    small, large = write(tmp_path, planted), write(tmp_path, planted, "large", parameters=2e9)
    for folders, shown in ((small, [f"small step{step}" for step in STEPS]), ([*small, *large], LAST)):
        both = FinishedComparison(compare(folders, tmp_path / f"out{len(folders)}"))
        rows = chart_rows(both)
        for name in ("atlas", "curves", "places"):
            assert set(rows[name]["model"].unique()) <= set(shown), name
        assert [row for row in map_order(both, rows) if MARK not in row] == shown
        assert len(rows["training"]["series"].unique()) * len(STEPS) == len(both.models)


def test_a_step_can_be_named(tmp_path):
    names = ("begun", "halfway", "done")
    models = [FakeModel(name, planted(step)) for name, step in zip(names, (10, 80, 640), strict=True)]
    folders = [fake.write_model(tmp_path / m.name, m) for m in models]
    out = api.compare(folders, out=tmp_path / "out", steps={10: "begun", 80: "halfway", 640: "done"})
    assert sorted(out.training["step"].unique()) == [10, 80, 640]
    assert len(out.training["series"].unique()) == 1


def test_the_page_has_the_axis_of_training(tmp_path):
    out = compare(write(tmp_path, planted), tmp_path / "out")
    page = (out / "comparison.html").read_text(encoding="utf-8")
    assert "Over training" in page
    assert "step of emergence" in page
    assert not (out / "figures/training.svg").exists()
    assert (api.figures(out) / "training.svg").exists()


def test_trainings_stand_side_by_side_and_are_told_apart_by_study():
    def titles(studies: Sequence[str], series: Sequence[str]) -> list[list[str]]:
        rows = [(st, se, quantity) for st in studies for se in series for quantity in ("peak value", "peak depth")]
        table = pl.DataFrame(rows, schema=["study", "series", "quantity"], orient="row")
        lines = comparing._titled(comparing._trainings({"training": table}))
        chart = charts.training_grid(lines, ["item"], [1, 2, 4]).to_dict()
        assert [[one["title"] for one in line["concat"]] for line in chart["vconcat"]] == [
            [heading for heading, _ in line] for line in lines
        ]
        axes = [layer["encoding"] for line in chart["vconcat"] for one in line["concat"] for layer in one["layer"]]
        assert {tuple(axis["x"]["scale"]["domain"]) for axis in axes} == {(1, 4)}
        assert sum("domain" in axis["y"]["scale"] for axis in axes) == len(axes) // 2  # depths have an axis from 0 to 1
        shared = [line.get("resolve") is not None for line in chart["vconcat"]]
        assert shared == [len({where["quantity"] for _, where in line}) == 1 for line in lines]
        return [[heading for heading, _ in line] for line in lines]

    assert titles(["hierarchy"], ["a"]) == [["a: peak value", "a: peak depth"]]
    assert titles(["hierarchy"], ["a", "b"]) == [["a: peak value", "b: peak value"], ["a: peak depth", "b: peak depth"]]
    assert titles(["hierarchy", "exits"], ["a", "b"])[2] == ["a: peak value (exits)", "b: peak value (exits)"]


def value(estimate: float, noise: np.ndarray) -> Quantity:
    return Quantity(estimate=estimate, noise=noise, grain=0.0, unit="depth")


def test_a_line_of_depths_is_found_exactly_without_noise():
    still = np.zeros(5)
    course = OverTraining(steps=(1, 3, 7), values=[value(at, still) for at in (0.2, 0.3, 0.4)])
    assert drift(course).estimate == pytest.approx(0.2)
    rise = OverTraining(steps=(1, 3, 7, 15), values=[value(at, still) for at in (0.0, 0.0, 1.0, 1.0)])
    # Between steps 3 and 7, in doublings: the geometric middle of 4 and 8 is 1 + 4.66.
    assert emerged(rise).step.estimate == pytest.approx(2**2.5 - 1)


def test_a_depth_never_moves_further_than_the_model_is_deep():
    """A line through depths that jump is steeper than that."""
    still = np.zeros(50)
    data = OverTraining(steps=(1, 3, 7, 15), values=[value(at, still) for at in (0.0, 0.0, 1.0, 1.0)])
    assert drift(data).estimate == pytest.approx(1.2)
    place = Place(quantity="peak depth", level="item", component="resid", method="ridge", metric="accuracy")
    (found,) = _drifts([Course(series="small", place=place, words="items", models=(), data=data)])
    assert (found.estimate, found.lo, found.hi) == (1.0, 1.0, 1.0)
    assert "+1.00 of the depth [+1.00, +1.00]" in found.statement
