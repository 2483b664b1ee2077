"""Chains of reasoning: what worked examples show, and which answer is read from a decoded text."""

from __future__ import annotations

import json

import pytest

from layeratlas.core import registry
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import RunSpec
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.readers.questions import read_questions
from layeratlas.studies.exits.chains import final_answer, is_complete, is_number_of, reasoned
from layeratlas.studies.exits.decoding import chosen_exits
from layeratlas.studies.exits.prompts import chain_prompt, chain_turns
from layeratlas.studies.exits.settings import ExitSettings
from layeratlas.studies.exits.study import PLUGIN

SETTINGS = ExitSettings(format="chain", shots=1)
SUM = Question("2 and 3?", ("2 and 3 are 5.", "2 and 3 are 6."), (0,), "g", final="5")


def built(name):
    return registry.get("tasks", name).build("quick")


def test_a_worked_example_shows_its_solution_and_then_the_answer():
    data = QuestionSet("sums", "arithmetic", (Question("1 and 1?", ("two", "three"), (0,), "h"),), (SUM,), "Add.")
    prompt = "Add.\n\nQ: 2 and 3?\nA: 2 and 3 are 5. The answer is 5.\n\n"
    assert chain_prompt(data, data.items[0], SETTINGS) == f"{prompt}Q: 1 and 1?\nA:"
    assert chain_prompt(data, None, SETTINGS) == f"{prompt}A:"  # the control: no question
    turns = [turn.text for turn in chain_turns(data, data.items[0], SETTINGS)]
    assert turns == ["Add.\n\n2 and 3?", "2 and 3 are 5. The answer is 5.", "1 and 1?"]
    told = chain_prompt(data, data.items[0], SETTINGS.with_shots(0))
    assert told == 'Add. End with "The answer is ...".\n\nQ: 1 and 1?\nA:'


@pytest.mark.parametrize("task", ["word_problems", "xmps"])
def test_the_answer_of_a_built_in_problem_is_that_of_its_right_solution_alone(task):
    """And every example's reply is read as right, in each language."""
    for data in built(task):
        for question in (*data.items, *data.shots):
            assert question.worked == (question.truth, question.final)
            assert question.final in question.truth
            reply = reasoned(question, data.language)
            assert is_number_of(final_answer(reply, data.language), question, data.language)
            assert is_complete(f"{reply}\n", data.language)
            assert not is_complete(reply, data.language)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 * 4 = 12. The answer is 12.", "12"),
        ("3 * 4 = 12. the answer is: **12**.\n\nQ: next? A: The answer is 9.", "12"),
        ("The answer is $1,200.50 in all.\nMore", "1,200.50 in all"),
        ("3 * 4 = 12", ""),  # no marker
        ("The answer is", ""),
        ("I do not know.\nQ: What is 2?\nA: The answer is 2.", ""),  # the answer of another question
        ("The answer is 1. The answer is 2.", "1. The answer is 2"),
    ],
)
def test_the_answer_is_what_follows_the_first_marker(text, answer):
    assert final_answer(text, "en") == answer


def test_other_languages_have_their_own_marker():
    assert final_answer("3 * 4 = 12。答案是12。", "zh") == "12"
    assert final_answer("La respuesta es 12.", "es") == "12"
    assert final_answer("The answer is 12.", "es") == ""
    assert final_answer("The answer is 12.", "pl") == "12"


@pytest.mark.parametrize(
    ("answer", "right"), [("5", True), ("5 eggs", True), ("5.0", True), ("-5", False), ("50", False), ("", False)]
)
def test_a_number_counts_by_its_value(answer, right):
    assert is_number_of(answer, SUM, "en") == right


def test_thousands_may_have_commas():
    assert is_number_of("1,200", Question("q", ("a", "b"), (0,), "g", final="1200"), "en")


def own(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_questions(str(path))


def test_own_worked_examples_may_have_a_chain(tmp_path):
    row = {"question": "Can it fly?", "choices": ["yes", "no"], "answer": 1}
    shown = {**row, "question": "Can a stone?", "shot": True, "chain": "A stone has\nno wings."}
    data = own(tmp_path / "own.jsonl", row, shown)
    assert reasoned(data.shots[0], data.language) == "A stone has no wings. The answer is no."
    assert data.items[0].worked == ("", "no")
    plain = own(tmp_path / "plain.jsonl", row, {**shown, "chain": None})
    assert data.identity()[1:] != plain.identity()[1:]


def test_published_solutions_give_the_answer_and_the_chain(tmp_path):
    row = {"question": "2 bags of 3?", "answer": "2 * 3 = <<2*3=6>>6 apples\nSo 6 apples.\n#### 6"}
    (question,) = own(tmp_path / "gsm8k.jsonl", row).items
    assert question.worked == ("2 * 3 = 6 apples So 6 apples.", "6")
    row = {"question": "2 bags of 3?", "truth_answer": ["2 * 3 = 6\n#### 6"], "error": ["2 * 3 = 5\n#### 5"]}
    (question,) = own(tmp_path / "gsm8k_cal_mc.jsonl", row).items
    assert question.worked == ("2 * 3 = 6", "6")
    assert question.truth == "2 * 3 = 6 The answer is 6"


def check(data, **settings):
    spec = RunSpec(study="exits", settings={"format": "chain", **settings})
    PLUGIN.check(spec, ExitSettings(**spec.settings), data)


def test_examples_without_a_chain_are_refused():
    with pytest.raises(SpecError, match=r"format=chain with facts, whose worked examples have no chain; expected"):
        check(built("facts"))
    check(built("facts"), shots=0)
    check(built("word_problems"))


@pytest.mark.parametrize(
    ("read", "count", "chosen"),
    [
        (range(31), 6, [1, 7, 13, 18, 24, 30]),
        (range(0, 31, 6), 6, [6, 12, 18, 24, 30]),
        ([0, 10, 20, 30], 2, [10, 30]),
        ([0, 30], 6, [30]),
    ],
)
def test_chains_are_decoded_from_exits_that_are_read(read, count, chosen):
    assert chosen_exits(read, count) == chosen


@pytest.mark.parametrize(
    ("language", "answer", "final"),
    [
        ("de", "1.200 Euro", "1200"),
        ("fr", "12,50", "12.5"),
        ("es", "1.200,5", "1200.5"),
        ("de", "12.5", "12.5"),
        ("en", "1,200.50", "1200.5"),
        ("es", "-3", "-3"),
    ],
)
def test_a_number_is_read_as_its_language_writes_it(language, answer, final):
    question = Question("q", ("a", "b"), (0,), "g", final=final)
    assert is_number_of(answer, question, language)
    assert not is_number_of(answer, Question("q", ("a", "b"), (0,), "g", final="1250"), language)


@pytest.mark.parametrize(
    "text",
    ["", " " * 20, "  ,   and  .  , I I,  ", " 23 ( 2- 2 ( 2- 2 (", "\n\n\n", "5", "The answer is", "The answer is ."],
)
def test_a_chain_that_never_answers_is_wrong_and_not_missing(text):
    """What low exits write: white space, single words, a formula over and over, or an ending without a number."""
    answer = final_answer(text, "en")
    assert answer == ""
    assert is_number_of(answer, SUM, "en") is False
