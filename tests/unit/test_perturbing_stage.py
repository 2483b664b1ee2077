"""The stage that perturbs a model: whole, resumed, and where it cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layeratlas.capture import effects
from layeratlas.core.edits import thirds
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec, RunSpec
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.segments.perturbation.brittleness import Brittleness
from layeratlas.studies.segments.perturbation.stage import choose_texts, perturb, read_effects
from layeratlas.studies.segments.perturbation.trials import NoiseSpec, make_trials

SPEC = NoiseSpec(passages=4, tokens=16, read=4, seeds=1, spans=1, bootstrap=100)


@dataclass
class Texts:
    texts: list[str]
    name: str = "texts"
    level: str = "text"
    source: str = ""

    def identity(self) -> Any:
        return self.texts


def workspace(folder: Path, model: Path, **settings: Any) -> Workspace:
    texts = [
        f"{word} is the word with which passage {i} begins." for i, word in enumerate(("One", "Two", "Six", "Ten"))
    ]
    spec = RunSpec(model=ModelSpec(id=str(model), **settings))
    return Workspace(folder, spec, [Texts(texts[:3]), Texts(texts[3:], "more")], Progress())


def stage(work: Workspace, spec: NoiseSpec = SPEC) -> list[str]:
    with work.timed("perturb"):
        outputs = perturb(work, spec)
    work.finish("perturb", outputs)
    return outputs


def test_texts_are_taken_from_each_kind_in_turn() -> None:
    assert choose_texts([["a1", "a2", "a3"], ["b1"]], 3) == ["a1", "b1", "a2"]
    assert choose_texts([["a1"], ["b1"]], 9) == ["a1", "b1"]


def test_a_stage_is_whole_and_goes_on_where_it_stopped(
    tmp_path: Path, tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = workspace(tmp_path / "run", tiny_model_dir)
    outputs = stage(work)
    assert work.finished("perturb")
    found = read_effects(work)
    assert found is not None
    wanted = make_trials(3, thirds(3), SPEC, work.spec.seed)
    assert {*found.trials} == {*wanted}
    assert len(found.trials) == len(wanted)
    assert found.values.shape == (len(wanted), 4, 4)
    assert (found.values[..., 0] > 0).all()
    roles = np.array([t.role for t in found.trials])
    assert np.isfinite(found.values[np.isin(roles, ["skip", "segment"]), :, 3]).all()
    assert Brittleness(found).at_points().value.shape == (4,)
    assert work.manifest["brittleness"]["passages"] == 4

    # One of the files is lost: only its trials run again, to the same numbers.
    ran: list[int] = []
    judge = effects.judge_edits
    monkeypatch.setattr(
        effects, "judge_edits", lambda m, p, trials, j: ran.append(len(trials)) or judge(m, p, trials, j)
    )
    (work.folder / outputs[2]).unlink()
    assert not work.finished("perturb")
    assert stage(work) == outputs
    assert 0 < ran[0] < len(wanted)
    again = read_effects(work)
    assert again is not None
    np.testing.assert_array_equal(again.values, found.values)
    # Other settings are other files.
    assert not set(stage(work, SPEC.model_copy(update={"tokens": 18}))) & set(outputs)


@pytest.mark.parametrize(
    ("settings", "spec", "message"),
    [
        ({"dtype": "bfloat16"}, SPEC, "weights in bfloat16, whose rounding is larger than the noise"),
        ({"weights": "streamed"}, SPEC, "is streamed"),
        ({}, SPEC.model_copy(update={"tokens": 60}), "expected at least 60"),
    ],
)
def test_what_cannot_be_measured_is_said_and_stops_nothing(
    tmp_path: Path, tiny_model_dir: Path, settings: dict[str, Any], spec: NoiseSpec, message: str
) -> None:
    work = workspace(tmp_path / "run", tiny_model_dir, **settings)
    assert stage(work, spec) == []
    assert message in work.manifest["brittleness"]["missing"]
    assert read_effects(work) is None
