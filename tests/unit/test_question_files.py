"""Question files: each format is recognised and read; what cannot be scored is named by file and line."""

from __future__ import annotations

import gzip
import json
import re
import sys
import types

import pytest

import families
from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.readers.questions import read_questions
from layeratlas.runs.fitting import record_dropped

SHARED = families.shared_folder() / "data"


def lines(*rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"


@pytest.fixture
def read(tmp_path):
    """Write a file and read it as questions: `read("own.jsonl", text)`."""

    def write_and_read(name, text, part=""):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_questions(str(path) + part)

    return write_and_read


def own(question="What is 2 + 3?", choices=("5", "6"), answer=0, **more):
    return {"question": question, "choices": list(choices), "answer": answer, **more}


# The user's own


@pytest.mark.parametrize(("answer", "answers"), [(1, (1,)), ([1, 0], (1, 0)), ("green", (1,))])
def test_own_questions_are_read_with_an_answer_of_any_one_kind(read, answer, answers):
    row = own("Which?", ("red", "green", "blue"), answer, group="colours", stratum="hard")
    sets = read("mine.jsonl", lines(row))
    assert (sets.name, sets.level, sets.language) == ("mine", "mine", "en")
    (question,) = sets.items
    assert (question.text, question.choices, question.answers) == ("Which?", ("red", "green", "blue"), answers)
    assert (question.group, question.stratum) == ("colours", "hard")
    assert question.where.endswith("mine.jsonl', line 1")


def test_own_worked_examples_are_not_items(read):
    sets = read("mine.jsonl", lines(own("1 + 1?", ("2", "3"), shot=True), own(), own("2 + 2?", ("4", "5"), shot=False)))
    assert [q.text for q in sets.shots] == ["1 + 1?"]
    assert len(sets.items) == 2


def test_own_questions_stand_in_an_array_too_and_keep_their_lines(read):
    sets = read("mine.json", json.dumps([own(), own("2 + 2?", ("4", "5"))], indent=1))
    assert [q.where.rpartition(" ")[2] for q in sets.items] == ["2", "10"]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((own(), own("b", answer=2)), "line 2 has 2 choices, and answer 2"),
        ((own(), own("b", answer="5")), 'has the answer "5", a text; expected a position as in the first row'),
        ((own(answer="5"), own("b", answer="7")), "line 2 has the answer '7'; expected one of 5, 6"),
        ((own(), own("b", answer=True)), "line 2 has the answer true, bool"),
        ((own(answer=None),), "line 1 has the answer null; expected a position, positions or a text"),
        ((own(), own("b", ("5",))), "line 2 has 1 choices"),
        ((own(), own("b", ("5", "5"))), "line 2 has the choice '5' twice"),
        ((own(), own("b", ("5", " 5 "))), "line 2 has the choice '5' twice"),
        ((own(), own(" ")), "line 2 has an empty question"),
        ((own(), own("b", ("5", ""))), "line 2 has an empty choice"),
        ((own(), own("b", (5, 6))), r"line 2: 'choices' is \[5, 6\]; expected a list of texts"),
        ((own(), own("b", answer=[0, 1])), "line 2 has the answer .0, 1., a list of positions"),
        ((own(), own("b", group="g")), "line 2 has the columns answer choices group question"),
        ((own(), {"question": "b"}), "line 2 has the columns question; expected answer choices question"),
        ((own(), {"input": "b", "target": "c"}), "line 2 has the columns input target"),
        ((own(), own()), "line 2 is duplicated"),
        (({"ask": "b", "reply": "c"},), "has the columns ask reply; expected one of"),
    ],
)
def test_what_cannot_be_scored_is_named_by_file_and_line(read, rows, found):
    with pytest.raises(DataError, match=found) as caught:
        read("mine.jsonl", lines(*rows))
    assert "mine.jsonl'" in str(caught.value)


def test_every_malformed_row_is_named(read):
    with pytest.raises(DataError, match=r"line 2 has 1 choices \(other malformed rows: 2, at 4, 5\)"):
        read("mine.jsonl", lines(own(), own("b", ("5",)), own("c"), own(" "), own("d", answer=9)))


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.jsonl", lines(own()) + '{"question": \n', "line 2 is not JSON"),
        ("a.jsonl", lines(own()) + "5\n", "line 2 is a number"),
        ("a.json", '[\n{"question": "a", \n', "line 2 is not JSON"),
        ("a.json", '[{"question": "a", "choices": ["b", "c"], "answer": 0}', "is cut short"),
        ("a.jsonl", "", "is empty"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "question,A,B,answer\nx,1,2\n", "line 2 has 3 fields; expected 4"),
        ("a.csv", "question,A,B,answer\nx,1,2,C\n", "line 2 has the answer 'C'; expected one of A, B"),
        ("a.csv", 'question,A,B,answer\n"x,1,2,A\n', "line 2 cannot be read"),
        ("a.jsonl", b"\xff\xfe\x00", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b"x" * 99, mtime=0)[:20], "cannot be read"),
    ],
)
def test_broken_files_are_refused(read, name, text, found):
    with pytest.raises(DataError, match=found):
        read(name, text)


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"'nowhere\.jsonl' does not exist"):
        read_questions("nowhere.jsonl")


def test_letters_name_the_answers_of_a_table(read):
    sets = read("sums.csv", 'question,A,B,C,answer\n"2 + 3, how much?",4,5,6,B\n1 + 1?,2,3,,A\n')
    assert [q.choices for q in sets.items] == [("4", "5", "6"), ("2", "3")]
    assert [q.truth for q in sets.items] == ["5", "2"]
    assert read("sums.tsv", 'question\tA\tB\tanswer\nsay "x"\t4\t5\tB\n').items[0].text == 'say "x"'


# Published sets


TRUTHFUL = {
    "type": "Adversarial", "category": "Birds", "question": "What do owls do?", "best": "They hunt",
    "correct": ["They eat", "They hunt", "Unknown", "They eat"], "incorrect": ["They read", "Unknown"], "source": "",
}  # fmt: skip


def test_truthfulqa_keeps_the_best_answer_first_and_drops_what_is_true_and_false(read):
    sets = read("truthfulqa.jsonl", lines(TRUTHFUL))
    (q,) = sets.items
    assert sets.level == "truthfulness"
    assert sorted(q.choices) == ["They eat", "They hunt", "They read"]
    assert [q.choices[place] for place in q.answers] == ["They hunt", "They eat"]


@pytest.mark.parametrize("form", ["mapping", "lists"])
def test_truthfulqa_targets_are_read(read, form):
    one = {"They hunt": 1, "They read": 0}
    two = {"They eat": 1, "They hunt": 1, "They read": 0}
    if form == "lists":
        one, two = ({"choices": list(t), "labels": list(t.values())} for t in (one, two))
    sets = read("mc_task.json", json.dumps([{"question": "Owls?", "mc1_targets": one, "mc2_targets": two}]))
    assert sets.name == "truthfulqa-mc_task"
    (q,) = sets.items
    assert [q.choices[place] for place in q.answers] == ["They hunt", "They eat"]
    assert len(q.choices) == 3


def test_truthfulqa_is_read_as_its_authors_and_the_hub_write_it(read):
    head = "Type,Question,Best Answer,Correct Answers,Incorrect Answers\n"
    hub = {"question": "Owls?", "best_answer": "They hunt", "correct_answers": ["They hunt", "They eat"]}
    sets = [read("TruthfulQA.csv", head + "x,Owls?,They hunt,They hunt; They eat,They read\n")]
    sets.append(read("hub.jsonl", lines({**hub, "incorrect_answers": ["They read"]})))
    for (q,) in (one.items for one in sets):
        assert [q.choices[place] for place in q.answers] == ["They hunt", "They eat"]
        assert len(q.choices) == 3


def test_mps_is_read_and_its_translated_form_is_no_evidence(read):
    row = {"question": "2 + 2?", "truth_answer": ["2+2=4\n#### 4", "It is 4"], "error": ["2+2=5\n#### 5", "It is 4"]}
    sets = read("gsm8k_cal_mc.json", lines(row))
    assert (sets.name, sets.level, sets.evident, sets.confounded) == ("mps-gsm8k_cal_mc", "calculation", True, "")
    (q,) = sets.items
    assert q.truth == "2+2=4 The answer is 4"
    # What is called right and wrong at once is right.
    assert sorted(q.choices) == ["2+2=4 The answer is 4", "2+2=5 The answer is 5", "It is 4"]
    mixed = read("gsm8k_cal_mc_French.json", lines({**row, "m_truth_answer": "2+2=4"}))
    assert "language and length give it away" in mixed.confounded


@pytest.mark.parametrize(
    ("name", "language"),
    [
        *(("gsm8k_cal_mc_French.json", "fr"), ("gsm8k_cal_mc_Chinese.json", "zh"), ("cal_Spanish.json", "es")),
        *(("cal_German.json", "de"), ("cal-Thai.json", "th"), ("cal_English.json", "en"), ("cal_th.json", "th")),
        ("gsm8k_cal_mc.json", "en"),
    ],
)
def test_a_translated_file_is_in_the_language_of_its_name(read, name, language):
    row = {"question": "2 + 2?", "truth_answer": ["2+2=4"], "error": ["2+2=5"], "m_truth_answer": "2+2=4"}
    assert read(name, lines(row)).language == language
    if "_mc." not in name:
        assert read(name.replace(".json", ".tsv"), "2 + 2?\t4\n").language == language


def test_gsm8k_changes_the_last_result_wherever_it_is_said(read):
    answer = "She has 2+3=<<2+3=5>>5 eggs.\nShe gets 5*13=$<<5*13=65>>65, so 65 in all.\n#### 65"
    sets = read("test.jsonl", lines({"question": "How much?", "answer": answer}))
    assert (sets.name, sets.level) == ("gsm8k-test", "calculation")
    (q,) = sets.items
    assert q.truth == "She has 2+3=5 eggs. She gets 5*13=$65, so 65 in all."
    for wrong in set(q.choices) - {q.truth}:
        assert len(wrong) == len(q.truth)
        assert "65" not in wrong
        assert "2+3=5 eggs. She gets 5*13=$" in wrong


def test_gsm8k_reasons_wrongly_in_one_step_and_sums_rightly_from_there_on(read):
    answer = "She has 8 x 2=<<8*2=16>>16 eggs.\nShe gets 16 x $4=$<<16*4=64>>64, so 64 in all.\n#### 64"
    short = {"question": "How many?", "answer": "It is 7.\n#### 7"}  # nothing to change
    sets = read("test.jsonl", lines({"question": "How much?", "answer": answer}, short), "#reasoning")
    assert (sets.name, sets.level, sets.evident) == ("gsm8k-test-reasoning", "reasoning", False)
    (q,) = sets.items
    assert q.truth == "She has 8 x 2=16 eggs. She gets 16 x $4=$64, so 64 in all."
    wrong = set(q.choices) - {q.truth}
    assert len(wrong) == 3
    does = {"+": float.__add__, "-": float.__sub__, "x": float.__mul__, "/": float.__truediv__}
    for choice in wrong:
        sums = re.findall(r"(\d+) ([-+x/]) \$?(\d+)=\$?([\d.]+)", choice)
        assert [sign for _, sign, _, _ in sums].count("x") == 1  # one step reasons otherwise
        assert all(does[sign](float(a), float(b)) == float(result) for a, sign, b, result in sums)
        assert choice.endswith(f"so {sums[-1][3]} in all.")
        assert sums[1][0] == sums[0][3]


def test_gsm8k_without_a_step_to_change_is_refused(read):
    with pytest.raises(DataError, match=r"no solution with 3 ways to reason wrongly.*without '#reasoning'"):
        read("test.jsonl", lines({"question": "How many?", "answer": "It is 7.\n#### 7"}), "#reasoning")


def test_gsm8k_without_calculations_changes_the_last_mention_of_the_answer(read):
    sets = read("test.jsonl", lines({"question": "How much?", "answer": "All 6 get 9 000.\n#### 9000"}))
    (q,) = sets.items
    assert q.truth == "All 6 get 9 000."
    assert all(len(c) == len(q.truth) and c.startswith("All 6 get ") for c in q.choices)


@pytest.mark.parametrize(
    ("answer", "found"),
    [("five\n#### five", "no worked answer"), ("#### 5", "no worked answer"), ("It is six.\n#### 5", "never says")],
)
def test_gsm8k_without_a_worked_answer_is_refused(read, answer, found):
    good = {"question": "How much?", "answer": "1+1=<<1+1=2>>2\n#### 2"}
    with pytest.raises(DataError, match=f"line 2 .*{found}"):
        read("test.jsonl", lines(good, {"question": "b", "answer": answer}))


def test_mgsm_is_read_one_language_at_a_time(read):
    text = 'lang\tid\tquestion\tanswer\nde\t0\tWie viele "Eier"?\t1,218\nth\t0\tกี่ฟอง\t1,218\n'
    with pytest.raises(DataError, match=r"has the languages de, th; expected one language per set; write '.*#de'"):
        read("mgsm.tsv", text)
    sets = read("mgsm.tsv", text, "#th")
    assert (sets.name, sets.language, sets.level) == ("mgsm-th", "th", "cross-lingual")
    (q,) = sets.items
    assert q.truth == "1,218"
    assert all(len(c) == 5 and c[1] == "," for c in q.choices)
    assert q.group == read("mgsm.tsv", text, "#de").items[0].group
    with pytest.raises(DataError, match="asks for 'fr' of a file with the parts de, th"):
        read("mgsm.tsv", text, "#fr")


def test_mgsm_as_upstream_has_it_has_no_header(read):
    sets = read("mgsm_es.tsv", "¿Cuántos huevos?\t18\n¿Cuántos?\t7\n")
    assert (sets.language, [q.truth for q in sets.items]) == ("es", ["18", "7"])


def test_a_problem_of_mgsm_is_one_group_with_the_same_numbers_in_every_language(read):
    """By its row where the file has no ids, which upstream's have not; each truth's place in four comes once."""
    spanish = read("mgsm_es.tsv", "".join(f"¿Cuántos, {n}?\t{n}\n" for n in range(1201, 1209)))
    thai = read("mgsm_th.tsv", "".join(f"กี่ {n}\t{n // 1000},{n % 1000:03}\n" for n in range(1201, 1209)))
    assert len({q.group for q in spanish.items}) == 8
    for one, other in zip(spanish.items, thai.items, strict=True):
        assert one.group == other.group
        assert one.answers == other.answers
        assert one.choices == tuple(choice.replace(",", "") for choice in other.choices)
    assert sorted(q.answers[0] for q in spanish.items) == [0, 0, 1, 1, 2, 2, 3, 3]
    # With ids, in any order of rows.
    rows = [
        ("de", 7, "Wie viele?", "18"),
        ("de", 9, "Wie oft?", "31"),
        ("fr", 9, "Combien?", "31"),
        ("fr", 7, "?", "18"),
    ]
    table = "lang\tid\tquestion\tanswer\n" + "".join("\t".join(map(str, row)) + "\n" for row in rows)
    german, french = (sorted(read("mgsm.tsv", table, part).items, key=lambda q: q.group) for part in ("#de", "#fr"))
    assert [(q.group, q.choices, q.answers) for q in german] == [(q.group, q.choices, q.answers) for q in french]


def test_only_a_file_named_mgsm_has_translations_in_other_files(read):
    """Two files of problems and numbers are not taken for the same problems in two languages."""
    sums = read("sums.csv", "question,answer\nHow many?,18\nHow often?,7\n")
    ages = read("ages.csv", "question,answer\nHow old?,18\nHow young?,7\n")
    assert (sums.name, sums.level, sums.evident) == ("sums", "calculation", False)
    assert not {q.group for q in sums.items} & {q.group for q in ages.items}
    assert all(len(q.choices) == 4 and q.truth in {"18", "7"} for q in sums.items)
    published = [read(f"mgsm_{language}.tsv", "question\tanswer\nHow many?\t18\n") for language in ("en", "es")]
    assert published[0].items[0].group == published[1].items[0].group


@pytest.mark.parametrize(
    ("name", "text", "made"),
    [
        ("sums.csv", "question,answer\nHow many?,18\n", "3 numbers near the true one"),
        ("mgsm_es.tsv", "¿Cuántos?\t18\n", "3 numbers near the true one"),
        ("test.jsonl", lines({"question": "How much?", "answer": "5*13=<<5*13=65>>65\n#### 65"}), "3 solutions with a"),
        ("mine.jsonl", lines(own()), ""),
    ],
)
def test_a_set_says_which_wrong_choices_were_made(read, name, text, made):
    said = read(name, text).made
    assert said.startswith(made)
    assert bool(said) == bool(made)


def test_bare_numbers_are_no_evidence_and_worked_solutions_are(read):
    """Nothing tells a number from another without its question; a sum can be checked."""
    hub = {"question": "How much?", "answer": None, "answer_number": 18, "equation_solution": None}
    sets = [read("mgsm_es.tsv", "¿Cuántos?\t18\n"), read("mgsm.jsonl", lines(hub))]
    sets.append(read("mgsm.tsv", "lang\tquestion\tanswer\nde\tWie viele?\t18\n"))
    assert [one.evident for one in sets] == [False] * 3
    assert read("test.jsonl", lines({"question": "How much?", "answer": "5*13=<<5*13=65>>65\n#### 65"})).evident


BBH = (
    {"task": "snarks", "input": "Which?\nOptions:\n(A) this one\n(B) that one", "target": "(B)"},
    {"task": "formal_fallacies", "input": "Valid?\nOptions:\n- valid \n- invalid", "target": "invalid"},
    {"task": "web_of_lies", "input": "Does she lie?", "target": "No"},
)


def test_bbh_options_are_taken_out_of_the_text(read):
    sets = read("bbh.jsonl.gz", gzip.compress(lines(*BBH).encode()))
    assert [q.text for q in sets.items] == ["Which?", "Valid?", "Does she lie?"]
    assert [q.truth for q in sets.items] == ["that one", "invalid", "No"]
    assert [q.choices for q in sets.items][1:] == [("valid", "invalid"), ("Yes", "No")]
    assert [q.stratum for q in sets.items] == ["snarks", "formal_fallacies", "web_of_lies"]
    assert read("bbh.jsonl", lines(*BBH), "#snarks,web_of_lies").name == "bbh-snarks-web_of_lies"
    upstream = {"canary": "x", "examples": [{"input": BBH[0]["input"], "target": "(A)"}]}
    assert read("snarks.json", json.dumps(upstream, indent=2)).items[0].truth == "this one"


def test_bbh_without_options_or_with_a_target_outside_them_is_refused(read):
    with pytest.raises(DataError, match=r"line 2 \(word_sorting\) has no options"):
        read("bbh.jsonl", lines(BBH[0], {"task": "word_sorting", "input": "Sort: b a", "target": "a b"}))
    with pytest.raises(DataError, match=r"line 1 has the answer '\(C\)'; expected one of \(A\), \(B\)"):
        read("bbh.jsonl", lines({**BBH[0], "target": "(C)"}))


FACTS = "relation\tsubject\tobject\n" + "".join(
    f"P1\t{subject}\t{value}\n"
    for subject, value in [
        *(("Rome", "Italy"), ("Milan", "Italy"), ("Basel", "Switzerland"), ("Basel", "Europe"), ("Basel", "Europe")),
        *(("Lyon", "France"), ("Cork", "Ireland"), ("Kyiv", "Ukraine"), ("Oslo", "Norway")),
    ]
)


def test_facts_take_candidates_that_the_subject_never_has(read, tmp_path):
    (tmp_path / "patterns.tsv").write_text("relation\tpattern\nP1\t[Y] has [X] .\nP1\t[X] lies in [Y] .\n")
    sets = read("facts.tsv", FACTS)
    assert (sets.level, len(sets.items)) == ("facts", 8)
    assert sets.items[0].text == "Rome lies in"
    for q in sets.items:
        assert len(q.choices) == 4
        if q.text.startswith("Basel"):
            assert len({"Switzerland", "Europe"} & set(q.choices)) == 1
    assert len({q.group for q in sets.items if q.text.startswith("Basel")}) == 1


def test_facts_carry_their_own_patterns_too_or_are_refused(read):
    rows = [
        {"sub_label": s, "obj_label": o, "predicate_id": "P2", "template": "[X] plays [Y] music ."}
        for s, o in (("Ann", "jazz"), ("Bob", "folk"), ("Cy", "rock"), ("Di", "soul"))
    ]
    sets = read("lama.jsonl", lines(*rows))
    assert sets.name == "facts-lama"
    assert sets.items[0].text == "Ann plays"
    assert sets.items[0].truth == "jazz music"
    with pytest.raises(DataError, match=r"line 2 has no pattern \(relation P1\)"):
        read("facts.tsv", FACTS)
    with pytest.raises(DataError, match="line 1 has 1 choices"):
        read("lama.jsonl", lines(rows[0]))


def test_reclor_is_read(read):
    row = {"context": "All ravens are black.", "question": "What follows?", "answers": ["a", "b", "c", "d"], "label": 2}
    sets = read("val.json", json.dumps([{**row, "id_string": "val_0"}]))
    assert (sets.name, sets.level) == ("reclor-val", "logic")
    assert sets.items[0].text == "All ravens are black. What follows?"
    assert sets.items[0].truth == "c"
    with pytest.raises(DataError, match="line 1 has 4 choices, and answer 4"):
        read("val.json", json.dumps([{**row, "label": 4}]))


# From the hub


def fake_hub(monkeypatch, load):
    module = types.ModuleType("datasets")
    module.load_dataset = load
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_a_hub_data_set_is_read_by_the_same_parsers(monkeypatch):
    asked = []

    def load(name, config, split):
        asked.append((name, config, split))
        return [{"question": "How much?", "answer": "1+1=<<1+1=2>>2\n#### 2"}]

    fake_hub(monkeypatch, load)
    sets = read_questions("hub:openai/gsm8k#main#train")
    assert asked == [("openai/gsm8k", "main", "train")]
    assert sets.name == "gsm8k-main"
    assert sets.items[0].where == "'hub:openai/gsm8k#main#train', row 1"
    read_questions("hub:openai/gsm8k")
    assert asked[1] == ("openai/gsm8k", None, "test")


@pytest.mark.parametrize(
    ("path", "row", "language"),
    [
        ("hub:xcopa#it", {"premise": "P.", "choice1": "a", "choice2": "b", "question": "cause", "label": 0}, "it"),
        ("hub:mgsm#th", {"question": "Q", "answer": None, "answer_number": 12}, "th"),
        ("hub:MMMLU#DE_DE", {"Question": "Q", "A": "a", "B": "b", "C": "c", "D": "d", "Answer": "A"}, "de"),
        ("hub:winogrande#xs", {"sentence": "a _ b", "option1": "x", "option2": "y", "answer": "1"}, "en"),
    ],
)
def test_a_configuration_of_the_hub_names_the_language(monkeypatch, path, row, language):
    fake_hub(monkeypatch, lambda name, config, split: [row])
    assert read_questions(path).language == language


def test_a_hub_that_fails_says_what_to_do(monkeypatch):
    def load(name, config, split):
        raise ConnectionError("no route")

    fake_hub(monkeypatch, load)
    with pytest.raises(DataError, match=r"'hub:a/b' cannot be loaded \(no route\)"):
        read_questions("hub:a/b")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs the package 'datasets'.*layeratlas\[hub\]"):
        read_questions("hub:a/b")


# Real copies


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data sets here")
@pytest.mark.parametrize(
    ("path", "count", "chance"),
    [
        ("truthfulqa/truthfulqa.jsonl", 817, None),
        ("gsm8k/test.jsonl", 1319, 0.25),
        ("gsm8k/train_sample.jsonl", 2000, 0.25),
        ("mgsm/mgsm.tsv#th", 250, 0.25),
        ("mgsm/mgsm.tsv#en", 250, 0.25),
        ("arithmetic_mc/arithmetic.tsv", 1360, 0.25),
        ("bbh/bbh.jsonl.gz#logical_deduction_five_objects,formal_fallacies,navigate,web_of_lies", 1000, 0.425),
        ("pararel_trex/facts.tsv.gz#P36", 470, 0.25),
    ],
)
def test_real_copies_are_read_whole(path, count, chance):
    sets = read_questions(str(SHARED / path))
    assert len(sets.items) == count
    assert chance is None or sets.chance == pytest.approx(chance)
    assert all(q.where for q in sets.items)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real data sets here")
@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("bbh/bbh.jsonl.gz", r"line 283 has the false choice 'Yes', which is true of .* line 370 .*, 938, "),
        ("bbh/bbh.jsonl.gz#dyck_languages", r"line 938 \(dyck_languages\) has no options"),
        ("bbh/bbh.jsonl.gz#ruin_names", r"line 4183 has the answer 'dearth.*other malformed rows: 1, at 4228"),
        ("pararel_trex/facts.tsv.gz", r"has no pattern \(relation P31\)"),
        ("mgsm/mgsm.tsv", "has the languages bn, de, en"),
    ],
)
def test_what_cannot_be_scored_in_the_real_copies_is_named(path, found):
    with pytest.raises(DataError, match=found):
        read_questions(str(SHARED / path))


@pytest.mark.parametrize(
    ("sampled", "long", "share"),
    [(None, 0, 2 / 26), ({"n": 6, "of": 24}, 0, 2 / 26), ({"n": 6, "of": 24}, 3, 1 - (24 / 26) * (3 / 6))],
)
def test_the_share_left_out_is_of_the_whole_file_where_some_of_it_is_asked(sampled, long, share):
    """Two of 26 rows are malformed; of the six questions asked, `long` do not fit the model."""
    asked = 6 if sampled else 24
    dropped = [types.SimpleNamespace(where=f"line {i}", why="too bad") for i in range(2 + long)]
    items = tuple(Question(text=f"{i}?", choices=("a", "b"), answers=(0,), group=str(i)) for i in range(asked - long))
    data = QuestionSet(name="own", level="own", items=items, dropped=tuple(dropped))
    manifest = {"sampled": {"own": sampled} if sampled else {}}
    record_dropped(types.SimpleNamespace(material=[data], manifest=manifest), [])
    assert manifest["dropped"]["own"]["share"] == pytest.approx(share)
