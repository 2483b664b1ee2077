"""The texts that a report calls wrong at a layer are those that make its accuracy, and none of the user's are shown."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import families
import layeratlas as la
from layeratlas.core.progress import Progress
from layeratlas.runs.finished import FinishedRun
from layeratlas.studies.exits.mistakes import mistakes as wrong_answers
from layeratlas.studies.hierarchy.mistakes import mistakes, predicted

FAST = {"probe": la.ProbeSpec(methods=("ridge",), repeats=1, shuffles=20)}


class Watched(Progress):
    def __init__(self):
        self.previews = []

    def preview(self, text):
        self.previews.append(text)


@pytest.fixture(scope="module")
def watched():
    return Watched()


@pytest.fixture(scope="module")
def run(tiny_model_dir, tmp_path_factory, watched):
    out = tmp_path_factory.mktemp("mistakes") / "run"
    options = {"size": "quick", "tasks": ["relations"], "out": out, "progress": watched, **FAST}
    return la.run("hierarchy", model=str(tiny_model_dir), **options)


def test_the_share_of_texts_that_are_not_wrong_is_the_accuracy_of_the_curve(run, monkeypatch):
    monkeypatch.setattr("layeratlas.studies.hierarchy.mistakes._MOST", 10_000)
    (listed,) = mistakes(run)
    curve = run.curves.filter(task="relations", stratum="all", component="resid", metric="accuracy").sort("layer")
    accuracy = [1 - len(wrong) / listed.of for wrong in listed.wrong]
    # A score of exactly nothing is half a mistake in the curve.
    assert np.allclose(accuracy, curve["estimate"].to_numpy(), atol=1.01 / listed.of, rtol=0)
    for wrong, said in zip(listed.wrong, listed.said, strict=True):
        given = [listed.names[place] for place in said]
        assert all(listed.labels[place] != label for place, label in zip(wrong, given, strict=True))
        assert set(given) <= {"related", "unrelated"}


def test_a_curve_is_shown_as_soon_as_its_layers_are_probed(run, watched):
    curve = run.curves.filter(task="relations", stratum="all", component="resid", metric="accuracy").sort("layer")
    best = curve["estimate"].arg_max()
    (line,) = watched.previews
    assert line.split()[0] == "relations"
    assert line.endswith(f" {curve['estimate'][best]:.2f} at layer {best}")
    assert len(line.split()[1]) == curve.height


def test_a_page_holds_some_texts_of_a_large_task(run):
    (listed,) = mistakes(run)
    assert (len(listed.texts), listed.of) == (300, 400)
    assert listed.texts[0] == pl.read_parquet(run.folder / "items/relations.parquet")["text"][0]


def test_the_users_own_texts_are_left_out(run):
    manifest = json.loads((run.folder / "run.json").read_text())
    manifest["spec"]["data"] = ["mine.csv"]
    assert mistakes(FinishedRun(run.folder, manifest=manifest)) == []


def test_several_classes_are_decided_by_the_highest_score():
    scores = np.array([[[[0.1, 0.9, 0.3]], [[0.1, 0.0, 0.3]]]])
    assert predicted(scores, 3).tolist() == [[1]]
    assert predicted(np.array([[[[-0.2]], [[0.1]]]]), 2).tolist() == [[0]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong answers")
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings = 256
    model = str(families.save(folder / "model", config))
    settings = {"shots": 0, "exits": "0,2", "questions": 30}
    return la.run("exits", model=model, size="quick", tasks=["facts"], out=folder / "run", settings=settings)


def test_the_share_of_questions_answered_wrongly_is_what_the_accuracy_leaves(asked):
    (listed,) = wrong_answers(asked)
    curve = asked.curves.filter(task="facts", stratum="all", method="sum", metric="accuracy").sort("layer")
    assert curve["layer"].to_list() == [layer for layer, wrong in enumerate(listed.wrong) if wrong is not None]
    for row in curve.iter_rows(named=True):
        wrong, said = listed.wrong[row["layer"]], listed.said[row["layer"]]
        # A tie is a mistake here and a part of one in the curve.
        assert 1 - len(wrong) / listed.of == pytest.approx(row["estimate"], abs=1.01 / listed.of)
        assert all(listed.names[given] != listed.labels[place] for place, given in zip(wrong, said, strict=True))
        # What is given is a choice of that question: each has four.
        assert [given // 4 for given in said] == wrong


def test_questions_of_the_users_own_are_left_out(asked):
    manifest = json.loads((asked.folder / "run.json").read_text())
    manifest["spec"]["data"] = ["mine.csv"]
    assert wrong_answers(FinishedRun(asked.folder, manifest=manifest)) == []
