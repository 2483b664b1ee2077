"""The exits study from questions to report, on a tiny random model: whole, resumable, and claiming nothing."""

from __future__ import annotations

import json
import random
import re
from functools import partial

import numpy as np
import polars as pl
import pytest

import families
from decoded import decoded
from layeratlas.api import Run
from layeratlas.core.errors import CaptureError, SpecError, StoreError
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.runs import pipeline
from layeratlas.store import DiskStore
from layeratlas.studies.exits import stages
from layeratlas.studies.exits.baselines import BARE_LAST, CHANCE, rule_column
from layeratlas.studies.exits.charts import exhibits as first_exit
from layeratlas.studies.exits.free_answers import first_line, matches
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.exits.prompts import make_prompt
from layeratlas.studies.exits.scores import BASELINE_RULES
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.study import PLUGIN


def sums(language, count=24):
    rng = random.Random(0)
    items = []
    for i in range(count + 3):
        a, b = rng.randint(11, 44), rng.randint(11, 44)
        wrong = [a + b + off for off in rng.sample((-9, -2, 3, 10), 3)]
        choices = [*map(str, wrong)]
        choices.insert(i % 4, str(a + b))
        kind = "integer" if i % 2 else "float"
        items.append(Question(f"{language} {a} + {b} = ? ({i})", tuple(choices), (i % 4,), f"g{i // 2}", f"add {kind}"))
    level = "arithmetic" if language == "en" else "truthfulness"
    return QuestionSet(f"sums-{language}", level, tuple(items[3:]), tuple(items[:3]), "Add.", language)


SETS = [sums("en"), sums("de", 12)]
SEVERAL = QuestionSet(
    "truths",
    "truthfulness",
    tuple(Question(f"What is {i}?", ("one", "two", f"no {i}", "none"), (0, 2), f"t{i}") for i in range(12)),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings = 256
    return str(families.save(tmp_path_factory.mktemp("exits") / "tiny", config))


def run(monkeypatch, model, out, sets=(*SETS, SEVERAL), page=False, **settings):
    monkeypatch.setattr(pipeline, "make_material", lambda study, spec: list(sets))
    if not page:
        monkeypatch.setattr(stages, "report_stage", lambda study: lambda work: [])
    spec = RunSpec(
        study="exits", size="quick", model=ModelSpec(id=model), settings=settings, probe=ProbeSpec(bootstrap=100)
    )
    return Run(pipeline.execute(PLUGIN, spec, out))


def test_a_run_has_every_curve_over_its_baselines_and_a_report(monkeypatch, model, tmp_path):
    done = run(monkeypatch, model, tmp_path / "run", page=True)
    curves = done.curves
    assert set(curves["method"]) == {"sum", "per_character", "per_byte", "per_token", "minus_answer"}
    assert set(curves.filter(task="truths")["metric"]) == {"accuracy", "mc2", "mc3", "margin", "ties"}
    assert set(curves.filter(task="sums-en")["metric"]) == {"accuracy", "margin", "ties"}
    main = curves.filter(task="sums-en", stratum="all", method="sum", metric="accuracy")
    assert main["layer"].to_list() == list(range(families.LAYERS + 1))
    assert main["depth"].to_list() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert main["chance"].to_list() == [0.25] * 4
    rules = pl.read_parquet(done.folder / "baselines.parquet").row(0, named=True)
    # Two digits each: neither tokens nor bytes tell them apart.
    assert (rules["Fewest tokens"], rules["Fewest bytes"], rules["Fewest tokens, ties wrong"]) == (0.25, 0.25, 0.0)
    assert main["baseline"].to_list() == [max(0.25, rules["Most frequent answer"])] * 4
    assert (main["lo"] <= main["estimate"]).all()
    assert (main["estimate"] <= main["hi"]).all()
    assert (main["control_lo"] <= main["control_hi"]).all()
    items = pl.read_parquet(done.folder / "items/sums-en.parquet")
    assert items["tokens"].to_list() == [[3, 3, 3, 3]] * 24  # a byte a token: a space and two digits
    record = done.manifest
    assert record["boundaries"] == {"sums-en": 0, "sums-de": 0, "truths": 0}
    assert record["capture"]["packing"] == "prefix trie"
    assert record["capture"]["tokens_computed"] < record["capture"]["tokens"] / 3
    assert [d["n"] for d in record["datasets"]] == [24, 12, 12]
    assert [(d["language"], d["shots"]) for d in record["datasets"]] == [("en", 3), ("de", 3), ("en", 0)]
    page = (done.folder / "report.html").read_text(encoding="utf-8")
    for words in ("Baselines", "Fewest tokens, ties wrong", "the choice without the question", "Score"):
        assert words in page
    assert "worked examples (sums-en 3, sums-de 3, truths 0; 4 where a set has them; never scored)" in page
    assert record["words"]["methods"] == PLUGIN.method_names
    assert set(curves["method"]) < set(PLUGIN.method_names)
    assert set(curves["metric"]) < set(PLUGIN.metric_names)
    assert set(done.findings["finding"]) <= set(ExitFinding)
    assert [path.name for path in (done.folder / "figures").iterdir()] == ["map.svg"]


def test_a_random_model_is_not_said_to_answer_anything(monkeypatch, model, tmp_path):
    """Though it may always say "one", which is the truth of all `truths`."""
    found = run(monkeypatch, model, tmp_path / "run").findings
    assert "supported" not in found.filter(pl.col("finding").is_in(["exit", "X1", "X2", "X3", "X4", "X8"]))["verdict"]
    assert "onset" not in found["finding"]
    assert found["null"].str.len_chars().min() > 10


def test_a_stopped_run_is_resumed_with_the_same_numbers(monkeypatch, model, tmp_path):
    whole = run(monkeypatch, model, tmp_path / "whole")
    write, calls = DiskStore.write, []

    def stops(self, key, *args):
        calls.append(key)
        if len(calls) == 2:
            raise StoreError("the disk is full")
        write(self, key, *args)

    monkeypatch.setattr(DiskStore, "write", stops)
    with pytest.raises(StoreError, match="the disk is full"):
        run(monkeypatch, model, tmp_path / "run")
    again = run(monkeypatch, model, tmp_path / "run")
    assert calls.count(calls[0]) == 1
    assert again.curves.drop("model").equals(whole.curves.drop("model"))
    # All done: nothing is computed again.
    before = len(calls)
    run(monkeypatch, model, tmp_path / "run")
    assert len(calls) == before


def test_prompts_are_as_documented():
    data = SETS[0]
    first, shot = data.items[0], data.shots[0]
    text = make_prompt(data, first, ExitSettings(shots=1))
    assert text.text == f"Add.\n\nQ: {shot.text}\nA: {shot.truth}\n\nQ: {first.text}\nA:"
    assert text.choices == tuple(f" {c}" for c in first.choices)
    letters = make_prompt(data, first, ExitSettings(shots=1, format="letter"))
    assert letters.choices == (" A", " B", " C", " D")
    assert f"Q: {first.text}\nA. {first.choices[0]}\nB. {first.choices[1]}\n" in letters.text
    assert f"\nA: {'ABCD'[shot.answers[0]]}\n\nQ:" in letters.text
    cloze = make_prompt(data, first, ExitSettings(shots=0, format="cloze"))
    assert cloze.text == f"Add.\n\n{first.text}"
    for number in range(7):
        prompt = make_prompt(data, first, ExitSettings(shots=number)).text
        assert prompt.count("Q:") == min(number, 3) + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shots": 7}, "the setting shots=7 is invalid; expected a whole number, at least 0, at most 6"),
        ({"format": "essay"}, "the setting format='essay' is invalid; expected text, letter, cloze, free or chain"),
        ({"score": "mean"}, "expected sum, per_character, per_byte, per_token or minus_answer"),
        ({"layers": 3}, "no setting named 'layers'; expected one of shots, questions, format, exit_norm"),
        ({"shots": 5}, "truths has no worked examples, and 5 are asked for; expected --set shots=0$"),
    ],
)
def test_settings_that_do_not_fit_are_refused(monkeypatch, model, tmp_path, settings, message):
    with pytest.raises(SpecError, match=message):
        run(monkeypatch, model, tmp_path / "run", **settings)


def test_worked_examples_are_refused_only_where_they_were_asked_for():
    def check(sets, **settings):
        PLUGIN.check(RunSpec(study="exits", settings=settings), ExitSettings(**settings), sets)

    with pytest.raises(SpecError, match=r"sums-en has 3 worked examples, and 5 are asked for; expected --set shots=3"):
        check(SETS, shots=5)
    with pytest.raises(SpecError, match=r"truths has no worked examples, and 6 are asked for; expected --set shots=0$"):
        check([SEVERAL], shots=6)
    check(SETS, shots=3)
    check([SEVERAL], shots=0)
    check([*SETS, SEVERAL])


def test_the_methods_say_how_many_worked_examples_there_were():
    def examples(*shots):
        sets = [{"name": f"s{i}", "shots": n} for i, n in enumerate(shots)]
        text = dict(PLUGIN.methods({"spec": {}, "datasets": sets}))["Questions"]
        return re.fullmatch(r".*worked examples \((.*); never scored\).*", text)[1]

    assert examples() == "at most 4"
    assert examples(4, 4) == "4"
    assert examples(0, 0) == "0"
    assert examples(4, 0) == "s0 4, s1 0; 4 where a set has them"


def test_the_first_exit_is_drawn_beside_every_baseline():
    rules = [*(rule_column(rule) for rule in BASELINE_RULES), CHANCE, BARE_LAST]
    table = pl.DataFrame({"Set": ["facts"], "Ability": ["facts"], **{rule: [0.3] for rule in rules}})
    named = {"component": "resid", "stratum": "all", "metric": "accuracy", "method": "sum", "task": "facts"}
    curves = pl.DataFrame({**named, "layer": [0, 1, 2], "estimate": 0.5, "lo": 0.4, "hi": 0.6})
    (exhibit,) = first_exit(table, curves, ExitSettings())
    drawn = exhibit.chart(lambda name: "#000000").to_dict()
    assert {value["what"] for value in drawn["data"]["values"]} == {*rules, "Exit 1", "Last exit"}


def test_another_position_is_refused(tmp_path):
    spec = RunSpec(study="exits", size="quick", capture=CaptureSpec(position="mean"))
    with pytest.raises(SpecError, match="the study 'exits' does not use the option 'position'"):
        pipeline.execute(PLUGIN, spec, tmp_path / "run")


def test_a_question_longer_than_the_context_is_named(monkeypatch, model, tmp_path):
    long = QuestionSet("long", "logic", (Question("x" * 300, ("a", "b"), (0,), "g", where="my.jsonl, line 7"),))
    with pytest.raises(CaptureError, match=r"my.jsonl, line 7 has 309 tokens; expected at most 256"):
        run(monkeypatch, model, tmp_path / "run", [long])


def test_settings_are_the_runs_own_and_stand_in_its_methods(monkeypatch, model, tmp_path):
    done = run(monkeypatch, model, tmp_path / "run", exit_norm="none", strict=True, score="per_byte", format="letter")
    assert done.curves.filter(stratum="all")["method"][0] == "per_byte"
    text = json.dumps(PLUGIN.methods(done.manifest))
    assert "with the final norm at the last point only" in text
    assert "Ties are wrong" in text
    assert done.findings.filter(finding="exit")["statement"].str.contains("norm left out").all()


def test_free_answers_are_those_of_greedy_decoding_from_each_exit(monkeypatch, model, tmp_path):

    from layeratlas.models import load

    done = run(monkeypatch, model, tmp_path / "run", [SETS[1]], format="free", shots=1, free_tokens=3, free_exits=2)
    said = pl.read_parquet(done.folder / "scores/sums-de.free.parquet")
    loaded = load(ModelSpec(id=model))
    words = partial(loaded.tokenizer.decode, skip_special_tokens=True)
    exits = said["layer"].unique().sort().to_list()
    assert exits == [1, families.LAYERS]
    items = pl.read_parquet(done.folder / "items/sums-de.parquet")
    for row in said.filter(pl.col("question") < 4).iter_rows(named=True):
        prompt = loaded.encode(items["prompt"][row["question"]])
        ids = decoded(loaded, prompt, row["layer"], 3, lambda new: new[-1] == 1 or "\n" in words(new).lstrip())
        assert row["answer"] == words(ids).strip().split("\n")[0].strip()
    curve = done.curves.filter(metric="exact_match", task="sums-de")
    assert curve["method"].unique().to_list() == ["greedy"]
    assert curve.filter(pl.col("estimate").is_finite())["layer"].to_list() == exits


def test_free_answers_of_some_exits_are_those_of_a_run_of_all(monkeypatch, model, tmp_path):
    asked = {"format": "free", "shots": 1, "free_tokens": 3, "free_exits": 2}
    whole, some = (
        run(monkeypatch, model, tmp_path / exits, [SETS[1]], exits=exits, **asked).curves.filter(
            metric="exact_match", layer=families.LAYERS
        )
        for exits in ("all", "0,2")
    )
    assert some.equals(whole)
    assert answered_exits(tmp_path / "0,2") == [2, families.LAYERS]


def answered_exits(folder):
    curve = pl.read_parquet(folder / "curves.parquet").filter(metric="exact_match", task="all")
    return curve.filter(pl.col("estimate").is_finite())["layer"].to_list()


def test_an_exact_match_forgives_case_and_a_full_stop_alone():
    question = Question("q", ("Paris", "Rome"), (0,), "g")
    assert all(matches(text, question) for text in ("Paris", "paris.", "PARIS"))
    assert not any(matches(text, question) for text in ("Rome", "Paris, France", ""))
    assert first_line("  Paris\nQ: more") == "Paris"


def test_random_weights_answer_the_first_questions_of_every_set_at_some_exits(monkeypatch, model, tmp_path):
    done = run(monkeypatch, model, tmp_path / "run", page=True, random_weights=True)
    assert done.manifest["random_weights"] == {"sums-en": 11, "sums-de": 12, "truths": 12}
    rows = done.curves.filter(task="sums-en", stratum="all", method="sum", metric="accuracy")
    assert rows["random_weights"].null_count() == 0  # a small model is read out at every exit
    assert rows.filter(pl.col("random_weights").is_between("random_weights_lo", "random_weights_hi")).height == len(
        rows
    )
    # Choices without their questions are asked of random weights only where the deciding score needs them.
    whole = done.curves.filter(stratum="all", metric="accuracy")
    assert set(whole.filter(pl.col("random_weights").is_null())["method"]) == {"minus_answer"}
    kinds = done.findings.filter(finding=ExitFinding.RANDOM_WEIGHTS)
    assert set(kinds["level"]) == {"arithmetic", "truthfulness"}
    assert "supported" not in set(kinds["verdict"])  # the model itself has random weights
    assert "Solid grey: the same architecture with random weights." in done.report_path.read_text(encoding="utf-8")


def test_random_weights_are_asked_the_choices_alone_where_the_score_needs_them(monkeypatch, model, tmp_path):
    """And nothing else changes: every other score is what it is without them."""
    asked = {"random_weights": True, "shots": 1}
    plain, alone = (
        run(monkeypatch, model, tmp_path / score, [SETS[1]], score=score, **asked).curves.filter(stratum="all")
        for score in ("sum", "minus_answer")
    )
    keys, kept = ["task", "method", "metric", "layer"], ["random_weights", "random_weights_lo", "random_weights_hi"]
    others = pl.col("method") != "minus_answer"
    one, other = (curves.filter(others).sort(keys).select(keys + kept) for curves in (plain, alone))
    assert one.select(keys).equals(other.select(keys))
    assert np.allclose(one.select(kept).to_numpy(), other.select(kept).to_numpy(), atol=1e-4)
    accuracies = alone.filter(~others, pl.col("metric") == "accuracy")
    assert accuracies["random_weights"].null_count() == 0
    assert plain.filter(~others)["random_weights"].null_count() == plain.filter(~others).height


def test_some_exits_are_those_of_a_run_of_all(monkeypatch, model, tmp_path):
    whole = run(monkeypatch, model, tmp_path / "all")
    assert {ExitFinding.LAST_EXIT, ExitFinding.TOKEN_COUNT} <= set(whole.findings["finding"])
    keys = ["level", "task", "stratum", "method", "metric", "layer", "depth", "estimate", "lo", "hi", "control"]
    for asked, read in (("every 2", [1, 3]), ("0,2", [0, 2, 3])):
        done = run(monkeypatch, model, tmp_path / asked, page=asked == "0,2", exits=asked)
        assert done.manifest["exits_read"] == read
        assert done.curves.select(keys).equals(whole.curves.filter(pl.col("layer").is_in(read)).select(keys))
        assert {r.last for r in done.recommendations} == {3}  # the model's last exit, whichever were read out
        said = set(done.findings["finding"])
        # What compares the last exit with the one before it, or is about exit 1, needs these.
        assert (ExitFinding.LAST_EXIT in said) == (2 in read)
        assert (ExitFinding.TOKEN_COUNT in said) == (1 in read)
        assert f"Only exits {', '.join(map(str, read))} were read out" in dict(PLUGIN.methods(done.manifest))["Exits"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exits": "some"}, "the exits 'some'; expected all, every N, or numbers with commas between"),
        ({"exits": "0,9"}, "exit 9 is asked for; expected exits 0 to 3, which this model has"),
        ({"exits": "every 2", "tuned": True}, "tuned=true with exits=every 2; expected all exits"),
    ],
)
def test_exits_that_cannot_be_read_out_are_refused(monkeypatch, model, tmp_path, settings, message):
    with pytest.raises(SpecError, match=message):
        run(monkeypatch, model, tmp_path / "run", **settings)
