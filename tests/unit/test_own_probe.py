"""`la.probe`: labelled texts in, the whole map out; several columns share one capture."""

from __future__ import annotations

import pytest

import layeratlas as la
from layeratlas.core.errors import AtlasError, DataError, SpecError, StoreError
from layeratlas.core.files import read_object
from layeratlas.core.progress import Progress
from layeratlas.studies.hierarchy import recommending

FAST = {"probe": la.ProbeSpec(methods=("ridge",), repeats=1, shuffles=20)}
WORDS = ("warm", "cold")
TEXTS = [f"{word} number {i}" for i in range(20) for word in WORDS]


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return str(tiny_model_dir)


def test_two_columns_give_two_maps_of_one_capture(model, tmp_path):
    labels = {"word": [t.split()[0] for t in TEXTS], "size": [float(t.split()[-1]) for t in TEXTS]}
    groups = [t.split()[-1] for t in TEXTS]
    run = la.probe(TEXTS, labels, model=model, groups=groups, out=tmp_path / "map", **FAST)
    assert set(run.curves["task"]) >= {"word", "size"}
    for component, points in (("resid", 4), ("attn", 3), ("mlp", 3)):
        rows = run.curves.filter(task="word", component=component, metric="accuracy")
        assert len(rows) == points
        assert (rows["lo"] <= rows["estimate"]).all()
        assert rows["n_groups"].unique().to_list() == [20]
    # The first word reaches the last token through attention only: at point 0 it is not there.
    resid = run.curves.filter(task="word", component="resid", metric="accuracy").sort("layer")["estimate"]
    assert resid[0] == pytest.approx(0.5, abs=0.15)
    assert resid[-1] > 0.8
    assert run.curves.filter(task="size")["metric"].unique().sort().to_list() == ["r2", "spearman"]
    assert run.manifest["capture"]["tokens"] == sum(len(t.encode()) + 1 for t in TEXTS)  # each text once
    assert run.plot("word").to_dict()


def test_two_columns_of_the_same_classes_carry_nothing_over(model, tmp_path):
    """No text of one column lies outside the other, so that there is nothing to read."""
    same = {"first": ["yes", "no"] * 10, "second": ["yes", "yes", "no", "no"] * 5}
    run = la.probe(TEXTS[:20], same, model=model, out=tmp_path / "same", **FAST)
    assert set(run.curves["task"]) >= {"first", "second"}
    assert "transfer" not in set(run.findings["finding"])


def test_another_label_of_the_same_texts_does_not_choose_the_layer(model, tmp_path, monkeypatch):
    others = []
    monkeypatch.setattr(recommending, "common_curve", lambda curves: others.append(len(curves)))
    words = [t.split()[0] for t in TEXTS]
    labels = {"word": words, "copy": [f"{word} again" for word in words]}
    run = la.probe(TEXTS, labels, model=model, out=tmp_path / "map", **FAST)
    assert None not in (run.best_layer("word").layer, run.best_layer("copy").layer)  # both decode
    assert others
    assert set(others) == {0}


def test_one_column_without_groups_and_without_a_folder(model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = la.probe(TEXTS, [t.split()[0] for t in TEXTS], model=model, **FAST)
    assert run.curves.filter(task="label")["n_groups"].unique().to_list() == [len(TEXTS)]


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        (["a"] * 39, None, r"'label' has 40 texts, 39 labels; expected one label \(and group\) per text"),
        (["a", "b"] * 20, ["g"] * 3, r"'label' has 40 texts, 40 labels, 3 groups"),
        ({"a/b": ["a", "b"] * 20}, None, r"a label column is named 'a/b'"),
    ],
)
def test_bad_columns_are_one_line(model, labels, groups, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        la.probe(TEXTS, labels, model=model, groups=groups, out=tmp_path / "map", **FAST)


UNUSABLE = {
    "a model that is not there": (TEXTS, {"model": "./nowhere"}, r"'\./nowhere' does not exist"),
    "a text that is too long": ([*TEXTS[:-1], "w" * 80], {}, r"text 40 has 81 tokens; expected at most 64"),
    "an option that no run has": (TEXTS, {"dtyp": "float32"}, r"no option named 'dtyp'"),
}


@pytest.mark.parametrize("named", [True, False], ids=["named", "temporary"])
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_call_that_cannot_begin_leaves_nothing(model, name, named, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    texts, options, message = UNUSABLE[name]
    with pytest.raises(AtlasError, match=message):
        la.probe(
            texts,
            [t.split()[0] for t in TEXTS],
            out=tmp_path / "map" if named else None,
            **{"model": model, **FAST, **options},
        )
    assert list(tmp_path.iterdir()) == []


class Interrupted(Progress):
    """Stops a run as a user does, when the first forward passes are due."""

    def stage(self, name, total):
        raise KeyboardInterrupt


def test_an_interrupted_call_can_be_resumed_where_its_folder_is_known(model, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    labels = [t.split()[0] for t in TEXTS]
    for out in (tmp_path / "map", None):
        with pytest.raises(KeyboardInterrupt):
            la.probe(TEXTS, labels, model=model, out=out, progress=Interrupted(), **FAST)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert (tmp_path / "map-texts" / "label.parquet").is_file()
    assert read_object(tmp_path / "map" / "run.json")["status"] == "running"
    assert la.probe(TEXTS, labels, model=model, out=tmp_path / "map", **FAST).manifest["status"] == "complete"


def test_a_finished_run_keeps_its_texts_if_a_call_with_others_is_refused(model, tmp_path):
    labels = [t.split()[0] for t in TEXTS]
    la.probe(TEXTS, labels, model=model, out=tmp_path / "map", **FAST)
    kept = (tmp_path / "map-texts" / "label.parquet").read_bytes()
    with pytest.raises(StoreError, match=r"holds another run"):
        la.probe([f"{t}!" for t in TEXTS], labels, model=model, out=tmp_path / "map", **FAST)
    assert (tmp_path / "map-texts" / "label.parquet").read_bytes() == kept
    with pytest.raises(DataError):
        la.probe(TEXTS, ["one"] * 40, model=model, out=tmp_path / "map", **FAST)
    assert (tmp_path / "map-texts" / "label.parquet").read_bytes() == kept
