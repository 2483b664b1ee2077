"""A task of lm-evaluation-harness is asked with the harness's own prompts, and the last exit gives its own scores.

With the harness where it is installed; everywhere with a stand-in, and with the numbers that version 0.4.13 gave.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import families
import small_harness
from layeratlas.api import Run
from layeratlas.core.errors import DataError, SpecError
from layeratlas.core.spec import ModelSpec, ProbeSpec, RunSpec
from layeratlas.data.readers.questions import read_questions
from layeratlas.models import load
from layeratlas.runs import pipeline
from layeratlas.store.shards import load_shard
from layeratlas.studies.exits import stages
from layeratlas.studies.exits.methods import methods
from layeratlas.studies.exits.posing import pose
from layeratlas.studies.exits.prompts import make_prompt
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.study import PLUGIN

INSTALLED = importlib.util.find_spec("lm_eval") is not None
HARNESSES = [
    "stand-in",
    pytest.param("installed", marks=pytest.mark.skipif(not INSTALLED, reason="lm_eval is not installed")),
]
WRITTEN = {"quiz": small_harness.write_task, "ended": small_harness.write_ended_task}
# The log-likelihoods of each task, and its accuracies by our names of the scores.
# fmt: off
RECORDED = {
    "quiz": [
        -40.31162, -48.19448, -41.44692, -66.17947, -22.44394, -28.37000, -57.29163, -64.99980, -65.43233,
        -42.72479, -28.81671, -37.63046, -35.40298, -35.63111, -34.01414,
    ],
    "ended": [
        -71.69016, -72.85730, -83.08880, -84.08219, -57.19572, -57.33177, -71.13979, -70.12102, -99.18953, -99.51740,
    ],
}
# fmt: on
RECORDED_ACCURACY = {"quiz": {"sum": 0.8, "per_character": 0.6}, "ended": {"sum": 0.6}}
METRICS = {"sum": "acc,none", "per_character": "acc_norm,none"}


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "stand-in":
        small_harness.stand_in(monkeypatch)
    return str(request.param)


@pytest.fixture
def quiz(tmp_path: Path) -> Path:
    return small_harness.write_task(tmp_path)


def test_prompts_and_choices_are_those_of_the_harness(harness: str, quiz: Path) -> None:
    data = read_questions(f"lm-eval:{quiz}#2")
    assert (data.name, data.level, data.written.shots, data.written.delimiter) == ("lm_eval-quiz-2", "quiz", 2, " ")
    assert [question.choices for question in data.items] == [tuple(choices) for _, choices, _ in small_harness.ASKED]
    assert [question.answers for question in data.items] == [("ABCD".index(key),) for *_, key in small_harness.ASKED]
    # Drawn anew for each question, with the harness's seed; written down from version 0.4.13.
    assert data.items[1].text == (
        "Answer.\n\nQuestion: What swims?\nAnswer: a fish\n\nQuestion: What is green?\nAnswer: grass\n\n"
        "Question: Which is hot?\nAnswer:"
    )
    plain = read_questions(f"lm-eval:{quiz}")
    assert plain.items[1].text == "Answer.\n\nQuestion: Which is hot?\nAnswer:"
    assert plain.identity() != data.identity()
    assert [q.group for q in plain.items] == [q.group for q in data.items]


REFUSED = {
    "output_type: generate_until": "a task of the kind generate_until; expected a multiple-choice task",
    "num_fewshot: 0": "asks for 2 worked examples; expected none, as the task says",
    "doc_to_target: nowhere": "question 1 has the answer 'nowhere' .other malformed rows: 4, .*expected one of a bird",
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_asked_is_refused_in_one_line(harness: str, tmp_path: Path, change: str) -> None:
    name, value = change.split(": ")
    path = small_harness.write_task(tmp_path, **{name: int(value) if value.isdigit() else value})
    with pytest.raises(DataError, match=REFUSED[change]) as refused:
        read_questions(f"lm-eval:{path}#2")
    assert "\n" not in str(refused.value)


def test_where_the_choices_are_read_their_common_ending_is_scored(harness: str, tmp_path: Path) -> None:
    path = small_harness.write_ended_task(tmp_path)
    data = read_questions(f"lm-eval:{path}")
    read = [(q.text, list(q.choices), q.ending, q.answers[0]) for q in data.items]
    assert read == small_harness.ENDED
    # Sentences that differ in their end alone are resampled together, and neither contradicts the other.
    assert [q.group for q in data.items][:2] == [small_harness.ENDED[0][0]] * 2
    assert len({q.group for q in data.items}) == 4
    with_examples = read_questions(f"lm-eval:{path}#2").items[-1]
    assert with_examples.text.endswith(".\n\n")
    assert with_examples.choices == ("Stones", "Boats")
    prompt = make_prompt(data, data.items[1], ExitSettings())
    assert list(prompt.scored(prompt.text)) == [
        ("The dog did not fit in the box because the dog", " was too small."),
        ("The dog did not fit in the box because the box", " was too small."),
    ]


def test_without_their_question_endings_follow_the_choices_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_harness.stand_in(monkeypatch)
    data = read_questions(f"lm-eval:{small_harness.write_ended_task(tmp_path)}")
    model = load(ModelSpec(id=str(families.save(tmp_path / "tiny", families.FAMILIES["llama"](), seed=3))))
    posed = pose(model, data, ExitSettings())
    for prompts, begin in ((posed.after, "The dog did not fit in the box because the "), (posed.bare, "A: ")):
        for continuation, choice in zip(prompts[:2], ("dog", "box"), strict=True):
            start = continuation.start
            assert list(continuation.ids[:start]) == model.encode(begin + choice)
            assert list(continuation.ids) == model.encode(f"{begin}{choice} was too big.")


def test_an_empty_ending_is_refused(harness: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_harness, "ENDED", [("The sea is ", ["blue", "red"], "", 0), *small_harness.ENDED])
    path = small_harness.write_ended_task(tmp_path)
    with pytest.raises(DataError, match="question 1 has nothing after its choices; expected a text to score"):
        read_questions(f"lm-eval:{path}")


def test_images_are_refused(quiz: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_harness.stand_in(monkeypatch)
    monkeypatch.setattr(small_harness.Task, "MULTIMODAL", True)
    with pytest.raises(DataError, match="has images or sound"):
        read_questions(f"lm-eval:{quiz}")


def test_a_name_is_checked_before_any_data_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    small_harness.stand_in(monkeypatch)
    with pytest.raises(DataError, match=r"no task named 'arc_esy'; expected a name .*; did you mean 'arc_easy'\?"):
        read_questions("lm-eval:arc_esy")
    with pytest.raises(DataError, match="'lm-eval:ai2_arc' is a group of tasks; expected one task"):
        read_questions("lm-eval:ai2_arc")
    with pytest.raises(DataError, match="asks for 'many' worked examples; expected lm-eval:TASK#SHOTS"):
        read_questions("lm-eval:arc_easy#many")
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(DataError, match=r"needs the package 'lm_eval'.*pip install 'layeratlas\[lm-eval\]'"):
        read_questions("lm-eval:arc_easy")


def spec(model: Path, quiz: Path, **settings: str) -> RunSpec:
    return RunSpec(
        study="exits",
        size="quick",
        data=(f"lm-eval:{quiz}#2",),
        model=ModelSpec(id=str(model), bos="tokenizer"),
        settings=settings,
        probe=ProbeSpec(bootstrap=100),
    )


def scored_by_the_harness(model: Path, path: Path) -> tuple[list[float], dict[str, float]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from lm_eval import simple_evaluate
        from lm_eval.tasks import TaskManager

        done = simple_evaluate(
            model="hf",
            model_args={"pretrained": str(model), "dtype": "float32"},
            tasks=[str(path)],
            num_fewshot=2,
            device="cpu",
            batch_size=1,
            log_samples=True,
            bootstrap_iters=0,
            task_manager=TaskManager(include_defaults=False),
        )
    samples = sorted(done["samples"][path.stem], key=lambda sample: sample["doc_id"])
    scores = [float(response[0][0]) for sample in samples for response in sample["resps"]]
    return scores, {ours: done["results"][path.stem][theirs] for ours, theirs in METRICS.items()}


@pytest.mark.parametrize("task", WRITTEN)
def test_the_last_exit_gives_the_scores_of_the_harness(
    harness: str, tmp_path: Path, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = WRITTEN[task](tmp_path)
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings = 512
    model = families.save(tmp_path / "tiny", config, seed=3)
    monkeypatch.setattr(stages, "report_stage", lambda study: lambda work: [])
    run = Run(pipeline.execute(PLUGIN, spec(model, path), tmp_path / "run"))
    manifest = run.manifest
    found, _ = load_shard(run.folder / f"scores/lm_eval-{task}-2.safetensors", manifest["key"])
    expected, accuracies = RECORDED[task], RECORDED_ACCURACY[task]
    if harness == "installed":
        expected, known = scored_by_the_harness(model, path)
        assert expected == pytest.approx(RECORDED[task], abs=1e-3)
        assert {score: known[score] for score in accuracies} == pytest.approx(accuracies)
    assert np.abs(found["after"][:, -1] - np.array(expected)).max() < 1e-3
    # Control: no other exit gives these numbers.
    assert np.abs(found["after"][:, :-1] - np.array(expected)[:, None]).max(0).min() > 0.1
    last = run.curves.filter(
        pl.col("layer") == families.LAYERS, metric="accuracy", stratum="all", task=f"lm_eval-{task}-2"
    )
    for score, accuracy in accuracies.items():
        assert last.filter(method=score)["estimate"].item() == pytest.approx(accuracy)
    [said] = [text for heading, text in methods(manifest) if heading == "Questions"]
    assert said.startswith(f"lm_eval-{task}-2: prompts and choices as lm-evaluation-harness")
    assert said.endswith("with 2 worked examples." if task == "quiz" else "the text after each choice is scored.")


@pytest.mark.parametrize(("name", "value"), [("shots", "2"), ("format", "letter")])
def test_options_that_would_change_the_prompts_are_refused(
    tmp_path: Path, quiz: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    small_harness.stand_in(monkeypatch)
    with pytest.raises(SpecError, match=f"--set {name} with 'lm-eval:.*expected its prompts as lm-evaluation-h"):
        pipeline.execute(PLUGIN, spec(tmp_path, quiz, **{name: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
