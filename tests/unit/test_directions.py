"""Directions: equal to the run's own probe, right in the model's coordinates, and able to steer."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from gguf import GGUFReader
from safetensors import safe_open
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import layeratlas as la
from layeratlas.api.advice import recommended_layer
from layeratlas.cli.app import app
from layeratlas.core.edits import Edit
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.spec import ModelSpec, ProbeSpec
from layeratlas.directions import load_direction
from layeratlas.directions.files import check_suffix
from layeratlas.directions.steering import Steered, SteerKind, conclusion, random_like, steer
from layeratlas.models import intervene, load
from layeratlas.models.observing import observe
from layeratlas.probes.ridge import PENALTIES
from layeratlas.runs.recommendation import Purpose
from layeratlas.store.rows import read_rows
from layeratlas.studies.hierarchy import directing
from layeratlas.studies.hierarchy.directing import load_data

# The last token tells the class, so that a random model's stream has it at every point.
CLASSES = ("cold", "warm")
TEXTS = [f"Number {i} is {word}" for i in range(24) for word in CLASSES]
LABELS = [text.split()[-1] for text in TEXTS]
GROUPS = [i // 2 for i in range(len(TEXTS))]
LIGHT = {"methods": ("ridge", "svm"), "repeats": 1, "shuffles": 80, "bootstrap": 100}


@pytest.fixture(scope="module")
def run(tiny_model_dir, tmp_path_factory):
    labels = {
        "word": LABELS,
        "third": [("a", "b", "c")[i % 3] for i in range(len(TEXTS))],
        "number": [float(GROUPS[i]) + 10 * (LABELS[i] == "warm") for i in range(len(TEXTS))],
    }
    folder = tmp_path_factory.mktemp("run") / "run"
    return la.probe(TEXTS, labels, groups=GROUPS, model=str(tiny_model_dir), out=folder, size="quick", probe=LIGHT)


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return load(ModelSpec(id=str(tiny_model_dir)))


def vectors(run, task: str, layer: int, component: str = "resid") -> np.ndarray:
    rows = pl.read_parquet(run.folder / f"items/{task}.parquet")["row"].to_list()
    return read_rows(run.folder / "activations", component, [layer], rows)[0].astype(np.float64)


def test_the_texts_of_a_run_come_back_as_it_read_them(run):
    data = load_data(run, "word")
    assert data.texts == TEXTS
    assert [item.label for item in data.items] == LABELS
    assert data.groups.tolist() == np.unique(np.array(GROUPS).astype(str), return_inverse=True)[1].tolist()


@pytest.mark.parametrize("component", ["resid", "attn", "mlp"])
def test_ridge_is_that_of_scikit_learn_without_its_standardisation(run, component):
    direction = run.direction("word", 1, component)
    x = vectors(run, "word", 1, component)
    scaler = StandardScaler().fit(x)
    y = np.where(np.array(LABELS) == "warm", 1.0, -1.0)
    # A constant feature is only centred, by both.
    reference = RidgeCV(alphas=PENALTIES).fit(scaler.transform(x), y)
    np.testing.assert_allclose(
        x @ direction.weight[0] + direction.offset[0], reference.predict(scaler.transform(x)), atol=1e-6
    )


def test_the_quality_is_the_point_of_the_runs_curve(run):
    for task in ("word", "third", "number"):
        direction = run.direction(task, 2)
        curve = run.curves.filter(task=task, component="resid", layer=2, method="ridge")
        row = curve.row(0, named=True)
        assert direction.quality.metric == row["metric"]
        assert (direction.quality.value, direction.quality.lo) == (row["estimate"], row["lo"])


def test_other_vectors_than_those_of_the_run_are_refused(run, monkeypatch):
    from layeratlas.studies.hierarchy import directing

    real = directing._vectors
    monkeypatch.setattr(directing, "_vectors", lambda *place: np.random.default_rng(0).permutation(real(*place)))
    with pytest.raises(StoreError, match=r"the accuracy at this layer is 0\.\d+, and 1\.0000 in the run's curve"):
        run.direction("word", 3)


def test_vectors_that_were_deleted_are_read_again(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run.folder, copy)
    shutil.rmtree(copy / "activations")
    again = la.Run(copy).direction("word", 2)
    before = run.direction("word", 2)
    np.testing.assert_allclose(again.means, before.means, rtol=1e-4, atol=1e-5)
    assert again.quality == before.quality


def test_a_fitted_estimator_predicts_the_labels(run):
    direction = run.direction("word", 3, method="svm")
    estimator = direction.estimator()
    x = vectors(run, "word", 3)
    assert estimator.score(x, LABELS) == 1.0
    assert estimator.predict(x[:2]).tolist() == list(CLASSES)
    three = run.direction("third", 3).estimator()
    assert set(three.predict(vectors(run, "third", 3))) <= {"a", "b", "c"}
    number = run.direction("number", 3)
    predicted = number.estimator().predict(vectors(run, "number", 3))
    assert predicted.std() == pytest.approx(number.scale[0])


def test_files_come_back_as_they_were_written(run, tmp_path):
    direction = run.direction("word", 2)
    path = direction.save(tmp_path / "word.safetensors")
    again = la.load_direction(path)
    assert (again.source, again.quality, again.classes) == (direction.source, direction.quality, direction.classes)
    np.testing.assert_allclose(again.weight, direction.weight, rtol=1e-6)
    np.testing.assert_allclose(again.vector(), direction.vector(), rtol=1e-4, atol=1e-6)
    manifest = json.loads((tmp_path / "word.safetensors.json").read_text())
    assert manifest["source"]["weights"] == run.manifest["model"]["files"]
    assert manifest["steer"]["norm"] == pytest.approx(np.linalg.norm(direction.vector()))
    assert (manifest["steer"]["to"], manifest["steer"]["from"]) == ("warm", "cold")
    assert manifest["sign"] == "a score above 0 means 'warm', below 0 'cold'"
    with safe_open(path, framework="np") as file:
        np.testing.assert_allclose(file.get_tensor("steer"), direction.vector(), rtol=1e-6)
    with pytest.raises(StoreError, match="holds no direction"):
        load_direction(tmp_path / "word.safetensors.json")


def test_a_control_vector_is_the_one_that_llama_cpp_reads(run, tmp_path):
    direction = run.direction("word", 3)
    reader = GGUFReader(direction.save(tmp_path / "word.gguf"))
    assert reader.fields["general.architecture"].contents() == "controlvector"
    assert reader.fields["controlvector.model_hint"].contents() == "llama"
    (tensor,) = reader.tensors
    # llama.cpp adds `direction.N` to the output of block N; point 3 is the output of block 2.
    assert tensor.name == "direction.2"
    np.testing.assert_allclose(tensor.data, direction.vector(), rtol=1e-6)


@pytest.mark.parametrize(("layer", "component"), [(0, "resid"), (1, "resid"), (2, "mlp")])
def test_a_place_that_llama_cpp_cannot_steer_is_refused(run, tmp_path, layer, component):
    with pytest.raises(SpecError, match=r"expected point 2 or later of the residual stream"):
        run.direction("word", layer, component).save(tmp_path / "word.gguf")


def test_of_several_classes_one_or_a_pair_is_named(run, tmp_path):
    direction = run.direction("third", 2)
    a, b, c = direction.means
    n = direction.counts
    np.testing.assert_allclose(direction.vector("a", "b"), a - b)
    np.testing.assert_allclose(direction.vector("a"), a - (n[1] * b + n[2] * c) / (n[1] + n[2]))
    with pytest.raises(SpecError, match="has 3 classes; expected the one to steer to, of a, b, c"):
        direction.vector()
    with pytest.raises(SpecError, match="has 3 classes and a control vector has one direction"):
        direction.save(tmp_path / "third.gguf")
    # The safetensors file holds the means of all classes; a vector to add is in it where a class is named.
    tensors = []
    for to in (None, "a"):
        with safe_open(direction.save(tmp_path / "third.safetensors", to), framework="np") as file:
            tensors.append(set(file.keys()))
    assert tensors[1] - tensors[0] == {"steer"}
    with pytest.raises(SpecError, match="no class named 'd'"):
        direction.vector("d")
    with pytest.raises(SpecError, match="from 'a' to itself"):
        direction.vector("a", "a")
    assert direction.ends("a", "b") == ("a", "b")
    assert direction.ends("a") == ("a", "the others")


@pytest.mark.parametrize("classes", [("a", "b"), ()])
def test_texts_that_do_not_differ_have_no_direction(run, tmp_path, classes):
    """As at point 0 for texts that end in the same token: nothing is saved that would steer nowhere."""
    direction = run.direction("word", 2)
    means = np.repeat(direction.means[:1], 2, 0) if classes else np.zeros((1, direction.weight.shape[1]))
    means[0, 0] += 1e-9  # what rounding leaves
    same = replace(direction, classes=classes, means=means)
    saves = [lambda suffix=suffix: same.save(tmp_path / f"word{suffix}") for suffix in (".gguf", ".safetensors")]
    for use in (same.vector, same.edit, *saves):
        with pytest.raises(la.AtlasError, match=r"do not differ by label at point 2 of .*; choose another layer"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_the_vector_of_numbers_is_the_change_per_unit(run):
    direction = run.direction("number", 2)
    x = vectors(run, "number", 2)
    y = load_data(run, "number").y
    slope = np.polyfit(y, x, 1)[0]
    np.testing.assert_allclose(direction.vector(), slope, atol=1e-6)
    with pytest.raises(SpecError, match="no class to steer to"):
        direction.vector("warm")


def test_names_that_a_run_does_not_have_are_refused(run):
    for task, layer, component, method, message in (
        ("wrod", 1, "resid", "", "no task named 'wrod'.*did you mean 'word'"),
        ("word", 9, "resid", "", "resid has no layer 9; expected 0 to 3"),
        ("word", 3, "mlp", "", "mlp has no layer 3; expected 0 to 2"),
        ("word", 1, "resid", "logistic", "no probe named 'logistic'"),
    ):
        with pytest.raises(SpecError, match=message):
            run.direction(task, layer, component, method=method)


def score_after(model, direction, edit: Edit | None, text: str) -> float:
    """The direction's score of a text's last token, read from the model's stream under an edit."""
    ids = torch.tensor([model.encode(text)])
    with (
        intervene(model, [edit] if edit else []),
        torch.inference_mode(),
        observe(model.anatomy, ["resid"], lambda h: h[:, -1]) as seen,
    ):
        model.run(ids)
    h = seen["resid"][direction.source.layer][0].numpy().astype(np.float64)
    return float(h @ direction.weight[0] + direction.offset[0])


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_steering_changes_the_score_as_predicted_and_a_random_direction_does_not(run, model, layer):
    direction = run.direction("word", layer)
    predicted = float(direction.weight[0] @ direction.vector())
    assert predicted > 1.0  # from about -1 to about 1, the labels that ridge fits
    for text in TEXTS[:6:2]:
        clean = score_after(model, direction, None, text)
        steered = score_after(model, direction, direction.edit(), text)
        assert clean < 0 < steered
        assert steered - clean == pytest.approx(predicted, rel=1e-3)
        # Away from the class as well as towards it.
        back = score_after(model, direction, direction.edit(to="cold"), text)
        assert back - clean == pytest.approx(-predicted, rel=1e-3)
    changes = [
        score_after(model, direction, random_like(direction.edit(), seed), TEXTS[0])
        - score_after(model, direction, None, TEXTS[0])
        for seed in range(20)
    ]
    assert np.max(np.abs(changes)) < predicted


def test_a_steered_continuation_has_its_random_control(run):
    direction = run.direction("word", 2)
    rows = steer(direction, "Number 7 is ", strengths=(0.0, 2.0), new_tokens=4)
    kinds = [SteerKind.NONE, SteerKind.DIRECTION, SteerKind.RANDOM, SteerKind.DIRECTION, SteerKind.RANDOM]
    assert [row.kind for row in rows] == kinds
    # Strength 0 changes nothing.
    assert {row.text for row in rows[:3]} == {rows[0].text}
    assert max(row.shift for row in rows[:3]) < 1e-6
    assert min(row.shift for row in rows[3:]) > 1e-4
    assert (rows[1].raised, rows[1].lowered) == ((), ())
    strong = steer(direction, "Number 7 is ", strengths=(64.0,), new_tokens=1)
    assert strong[1].text in strong[1].raised  # the likeliest next token after the edit, which was not before
    assert strong[0].text in strong[1].lowered
    random = random_like(direction.edit())
    assert np.linalg.norm(random.vectors) == pytest.approx(np.linalg.norm(direction.vector()))


def test_a_model_of_another_width_is_refused(run):
    direction = run.direction("word", 2)
    narrow = replace(direction, weight=direction.weight[:, :8])
    with pytest.raises(SpecError, match="a direction of width 8 in a model of width 32"):
        steer(narrow, "Number")


def test_the_default_layer_is_the_one_recommended(run):
    advised = run.best_layer("word", purpose="direction")
    assert run.direction("word").source.layer == advised.layer
    assert run.direction("word", component="mlp").source.layer == run.best_layer("word", component="mlp").layer


def test_a_control_vector_is_taken_where_llama_cpp_can_steer(run, tmp_path):
    advised = run.best_layer("word", purpose="direction")
    assert (advised.layer, 2 in advised.as_good) == (1, True)
    assert [recommended_layer(run, "word", "resid", first) for first in (0, 1, 2)] == [1, 1, 2]
    assert recommended_layer(run, "word", "resid", 9) == 1  # none is as good: refused where it is written
    to = tmp_path / "word.gguf"
    done = CliRunner().invoke(app, ["direction", str(run.folder), "--task", "word", "--to", str(to)])
    assert (done.exit_code, GGUFReader(to).tensors[0].name) == (0, "direction.1")
    said = "Point 2, as good as 1: llama.cpp steers from point 2 on."
    assert said in done.output
    done = CliRunner().invoke(
        app, ["direction", str(run.folder), "--task", "word", "--to", str(tmp_path / "w.safetensors")]
    )
    assert said not in done.output


def test_which_layer_is_answered_by_name_purpose_and_component(run):
    assert {row.purpose for row in run.recommendations} == {Purpose.PROBE, Purpose.DIRECTION, Purpose.EMBED}
    assert run.best_layer(purpose="embed").subject == "all"
    # Labels of no meaning: no layer.
    third = run.best_layer("third")
    assert third.layer is None
    with pytest.raises(SpecError, match="no layer is recommended for 'third': No layer is shown to decode it"):
        run.direction("third")
    for name, options, message in (
        ("wrod", {}, "no level or task named 'wrod'"),
        ("word", {"purpose": "stear"}, "no purpose named 'stear'.*did you mean 'steer'"),
        ("word", {"component": "mpl"}, "no component named 'mpl'"),
        ("word", {"purpose": "direction", "component": "mlp"}, "no component named 'mlp'; expected one of resid"),
        ("word", {"purpose": "exit"}, "a run of hierarchy does not say which layer to stop at"),
        (
            "word",
            {"purpose": "steer"},
            "does not say which layer to steer at, tested at the last token; "
            "run one of causal, or ask for the purpose 'direction'",
        ),
    ):
        with pytest.raises(SpecError, match=message):
            run.best_layer(name, **options)


def test_recommendations_are_in_the_report_the_summary_and_under_a_checksum(run):
    page = run.report_path.read_text()
    assert "Which layer to use" in page
    assert "any of " in page or run.best_layer("word").as_good == (run.best_layer("word").layer,)
    assert f"point to probe (as good, 95% confidence): word {run.best_layer('word').short}" in run.summary()
    assert "recommendations.json" in run.manifest["stages"]["analyse"]["sha256"]


def test_pca_is_undone(tiny_model_dir, tmp_path):
    run = la.probe(
        TEXTS,
        LABELS,
        groups=GROUPS,
        model=str(tiny_model_dir),
        out=tmp_path / "run",
        probe=dict(ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, bootstrap=100, pca=3)),
        components=["resid"],
    )
    direction = run.direction("label", 3)
    assert direction.weight.shape == (1, 32)
    assert direction.estimator().score(vectors(run, "label", 3), LABELS) == 1.0


def steered(kind, strength, shift):
    return Steered(kind=kind, strength=strength, shift=shift, text="")


def test_steering_says_where_a_direction_moves_the_prediction_further_than_a_random_one():
    random = [steered(SteerKind.RANDOM, 1.0, 0.2), steered(SteerKind.RANDOM, 2.0, 0.5)]
    further = conclusion([*random, steered(SteerKind.DIRECTION, 1.0, 0.2), steered(SteerKind.DIRECTION, 2.0, 0.6)])
    assert further.startswith("at strength 2 the direction moves the prediction further")
    none = conclusion([*random, steered(SteerKind.DIRECTION, 1.0, 0.1), steered(SteerKind.DIRECTION, 2.0, 0.5)])
    assert none.startswith("at no strength does the direction move the prediction further")
    # Both print as 0.00: a difference that nobody can see is none.
    tiny = [steered(SteerKind.RANDOM, 1.0, 0.001), steered(SteerKind.DIRECTION, 1.0, 0.004)]
    assert conclusion(tiny).startswith("at no strength")
    assert "next word" not in further
    told = replace(steered(SteerKind.DIRECTION, 2.0, 0.6), raised=(" good", " great"), lowered=(" bad",))
    assert "As the next word, strength 2 raises ' good', ' great' and lowers ' bad'. One" in conclusion([*random, told])
    assert "raises ' good', ' great' and lowers ' bad'. Try" in conclusion([*random, replace(told, shift=0.4)])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--class", "wram"), "no class named 'wram'; expected one of cold, warm; did you mean 'warm'?"),
        (("--versus", "wram"), "no class named 'wram'"),
        (("--versus", "warm"), "steering from 'warm' to itself"),
        (("--task", "wrod"), "no task named 'wrod'"),
        (("--task", ""), "has 3 tasks; expected one of word, third, number; name it with --task"),
    ],
)
def test_a_misspelt_class_is_told_before_anything_is_fitted(run, tmp_path, monkeypatch, flags, message):
    monkeypatch.setattr(directing, "fit_direction", pytest.fail)
    done = CliRunner().invoke(
        app, ["direction", str(run.folder), "--to", str(tmp_path / "a.gguf"), "--task", "word", *flags]
    )
    assert message in done.output
    assert done.exit_code == 2


def test_a_missing_file_and_a_wrong_ending_are_told_before_any_work(tmp_path):
    with pytest.raises(StoreError, match=r"there is no file '.*none\.safetensors'.*check the path"):
        load_direction(tmp_path / "none.safetensors")
    with pytest.raises(SpecError, match=r"'rev\.pt' ends in '\.pt'; expected a name that ends in \.safetensors"):
        check_suffix(tmp_path / "rev.pt")
