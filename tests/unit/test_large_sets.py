"""A data set that does not fit into memory: `run` probes it from disk, and says what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import layeratlas as la
import small_runs
from layeratlas.core.errors import DataError, SpecError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ProbeSpec, RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design
from layeratlas.probes._dual import held_out_scores, label_columns, split_gram
from layeratlas.probes._folds import make_folds
from layeratlas.probes._large import LargeSet, OtherLabels
from layeratlas.probes._sampling import sample_groups
from layeratlas.probes.ridge import Ridge
from layeratlas.store import DiskStore
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy import settings
from layeratlas.studies.hierarchy.designs import large_set
from layeratlas.studies.hierarchy.directing import fit_direction, load_data
from layeratlas.studies.hierarchy.layers import items_of
from layeratlas.studies.hierarchy.plan import NOT_ON_LARGE, describe_large

PENALTY = 10.0
ADJECTIVES = ("old", "new", "red", "small", "large", "quiet", "broken", "wooden")
LIVING = ("cow", "bee", "horse", "goat", "sheep", "fox")
LIFELESS = ("hammer", "church", "piano", "lamp", "ship", "wall")


def large_file(folder: Path) -> str:
    """Write 384 texts of two classes in 32 groups that have the same words, and one of them twice."""
    rows = [
        f"In place {place} stands a {adjective} {noun},{label},{place}-{adjective}"
        for place in range(4)
        for adjective in ADJECTIVES
        for label, nouns in (("living", LIVING), ("lifeless", LIFELESS))
        for noun in nouns
    ]
    path = folder / "large.csv"
    path.write_text("\n".join(["text,label,group", *rows, rows[0]]))
    return str(path)


class Notes(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """Return a function that runs the hierarchy study on the texts, and the lines that it showed."""
    folder = tmp_path_factory.mktemp("large")
    model, file = small_runs.model_folder(folder, "llama"), large_file(folder)

    def run(name: str, **options):
        progress = Notes()
        probe = {"methods": ("ridge", "svm"), "penalties": (PENALTY,), "repeats": 2, "shuffles": 20, "bootstrap": 100}
        options = {"probe": probe, "components": ("resid", "mlp"), "size": "quick"} | options
        run = la.run("hierarchy", model=model, data=file, out=folder / name, progress=progress, **options)
        return run, progress.lines

    return run


@pytest.fixture(scope="module")
def sampled(run_of):
    return run_of("sampled", settings={"sample": 125, "mdl": True, "learning_curves": True, "random_weights": True})


@pytest.fixture(scope="module")
def whole(run_of):
    return run_of("whole", settings={"mdl": True})


def scores_of(run, component: str):
    key = run.manifest["key"]
    return load_shard(run.folder / f"scores/large.{component}.safetensors", key)[0]


def test_its_scores_are_those_of_ridge_in_memory_trained_on_all_other_texts(sampled):
    run, _ = sampled
    items = pl.read_parquet(run.folder / "items/large.parquet")
    tested, rows = items["tested"].to_numpy(), items["row"].to_numpy()
    assert 120 <= tested.sum() <= 137
    assert set(items.filter("tested")["group"]).isdisjoint(items.filter(~pl.col("tested"))["group"])
    data = load_data(run, "large")
    y = label_columns(data.y, 2)
    part = type(data)("large", data.level, tuple(i for i, kept in zip(data.items, tested, strict=True) if kept))
    folds, store = make_folds(part, 5, 2, seed=0), DiskStore.open(run.folder / "activations")
    sample, others = np.flatnonzero(tested), np.flatnonzero(~tested)
    for component, points in store.shape.points.items():
        scores = scores_of(run, component)["ridge.scores"]
        assert scores.shape == (points, 2, tested.sum(), 1)
        for layer in range(points):
            x = store.read(component, layer)[rows].astype(float)
            for fold in folds:
                train = np.concatenate([others, sample[fold.train]])
                gram = split_gram(x, train, sample[fold.test])
                expected = held_out_scores(Ridge((PENALTY,)), gram, y[train])
                np.testing.assert_allclose(scores[layer, fold.repeat, fold.test], expected, atol=1e-6)


def test_its_curves_have_the_sample_s_intervals_and_every_reference_of_a_run(sampled, whole):
    run, lines = sampled
    groups = pl.read_parquet(run.folder / "items/large.parquet").filter("tested")["group"].n_unique()
    curves = run.curves.filter(pl.col("component") == "resid")
    assert set(curves["n_groups"]) == {groups}
    assert set(curves["method"]) == {"ridge", "svm"}  # and no description lengths
    numbers = ["estimate", "lo", "hi", "control", "control_hi", "baseline"]
    assert curves.select(numbers).null_count().sum_horizontal()[0] == 0
    ridge = curves.filter(method="ridge", metric="accuracy", task="large")
    assert ridge["control_task"].null_count() == 0
    in_memory = whole[0].curves.filter(component="resid", method="ridge", metric="accuracy", task="large")
    assert np.abs(ridge["estimate"].to_numpy() - in_memory["estimate"].to_numpy()).max() < 0.1
    assert np.abs(ridge["control"].to_numpy() - 0.5).max() < 0.05
    (note,) = [line for line in lines if "are probed from disk" in line]
    assert note.startswith("large: 385 texts are probed from disk: ridge and the surface baseline are trained on all")
    assert f"in {groups} groups" in note
    assert note.endswith(f"{NOT_ON_LARGE} are not measured")


def test_its_report_says_what_was_tested_and_what_not(sampled, whole):
    text = (sampled[0].folder / "report.html").read_text()
    assert "Large data sets" in text
    assert "Not measured on these: random weights" in text
    assert "Large data sets" not in (whole[0].folder / "report.html").read_text()
    (record,) = sampled[0].manifest["datasets"]
    assert record["n"] == 385
    assert 120 <= record["tested"]["n"] <= 137
    assert record["tested"]["of"] == 385
    assert not (sampled[0].folder / "learning.parquet").exists()
    assert sampled[0].manifest["random_weights"] == []
    assert "tested" not in whole[0].manifest["datasets"][0]


def test_a_direction_of_it_is_refused_in_one_line(sampled):
    with pytest.raises(
        SpecError, match=r"'large' was probed from disk .385 texts.; expected a task whose probe can be"
    ):
        fit_direction(sampled[0], "large", 1)


def test_a_sample_as_large_as_the_set_changes_nothing(run_of, whole):
    run, lines = run_of("all", settings={"mdl": True, "sample": 385})
    assert not any("probed from disk" in line for line in lines)
    ours, theirs = scores_of(run, "resid"), scores_of(whole[0], "resid")
    assert ours.keys() == theirs.keys()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_components_are_refused_before_the_model_is_loaded(run_of):
    with pytest.raises(SpecError, match=r"385 texts, which are probed from disk on all features.*--set sample=385"):
        run_of("pca", settings={"sample": 100}, probe="ridge", pca=5)


class Work:
    """What the choice of a sample reads of a run."""

    spec = RunSpec()

    def __init__(self, data: Dataset, sample: int) -> None:
        self.material, self.settings = [data], settings.ProbingSettings(sample=sample)


def test_a_sample_without_a_class_is_refused_with_what_to_do():
    labels = ["rare"] * 3 + ["common", "usual"] * 150
    items = tuple(Item(f"text {i}", label, f"g{i}") for i, label in enumerate(labels))
    data = Dataset("rarely", "own", items)
    with pytest.raises(
        DataError, match="rarely: a sample of 20 of its 303 texts does not have every class in two"
    ) as no:
        large_set(Work(data, 20), data)
    assert no.value.todo == "use --set sample=100 or more, or smaller groups"
    assert len(large_set(Work(data, 302), data).sample) == 302


def test_huge_groups_are_tested_in_part_and_the_user_is_told():
    items = tuple(Item(f"text {i}", ("a", "b")[i % 2], f"g{i // 100}") for i in range(2000))
    data = Dataset("sources", "own", items)
    large = large_set(Work(data, 200), data)
    assert (len(large.sample), large.used) == (200, 200 + 1000)
    assert describe_large(data, large).startswith(
        "sources: 2,000 texts are probed from disk: ridge and the surface baseline are trained on all but 800, which "
        "are not tested and in groups that are, and tested on a sample of 200 texts in 10 groups"
    )
    three = Dataset("sources", "own", items[:300])
    with pytest.raises(DataError, match="sources: a sample of 20 of 300 texts in 3 groups") as no:
        large_set(Work(three, 20), three)
    assert no.value.todo == "use smaller groups, or --set sample=300, which keeps all texts in memory"


def test_more_texts_than_the_limit_are_sampled_without_being_asked():
    few, many = settings.LARGE, settings.LARGE + 1
    assert not settings.is_large(few, settings.ProbingSettings())
    assert settings.is_large(many, settings.ProbingSettings())
    assert not settings.is_large(many, settings.ProbingSettings(sample=many))


def test_items_are_found_in_shards_of_any_rows():
    rng = np.random.default_rng(0)
    x, rows = rng.standard_normal((30, 4)).astype("f4"), np.array([7, 3, 3, 29, 0, 7, 12])
    shards = [(part, x[part]) for part in np.split(rng.permutation(30), [4, 5, 20])]
    found = {
        int(item): vector
        for items, values in items_of(shards, rows)
        for item, vector in zip(items, values, strict=True)
    }
    assert sorted(found) == list(range(7))
    assert all(np.array_equal(found[item], x[row]) for item, row in enumerate(rows))


def test_shuffled_labels_of_further_texts_keep_the_shares_of_the_classes():
    """Donors were drawn by groups, so that a class of many small groups became the most frequent one."""
    groups = np.concatenate([np.repeat(np.arange(400), 2), 400 + np.repeat(np.arange(60), 20)])
    y = (groups >= 400).astype(float)
    sample = sample_groups(groups, 500, 0)
    texts = LargeSet(y=y, groups=groups, sample=sample)
    items = tuple(Item(text=f"t{n}", label=str(int(y[n])), group=str(groups[n])) for n in sample)
    design = make_design(Dataset(name="d", level="item", items=items), ProbeSpec(shuffles=40), 0)
    others = np.setdiff1d(np.arange(len(y)), sample)
    columns = OtherLabels(texts, design).columns(others)[:, 1:41]
    true = y[others].mean()
    shares = (columns > 0).mean(0)
    assert abs(shares.mean() - true) < 0.1
    assert shares.min() > 0.3
