"""Published question sets are read as downloaded; every row here is made up, in the form of the set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import families
from layeratlas.core.errors import DataError
from layeratlas.data.readers.questions import read_questions
from layeratlas.data.readers.texts import read_table

CHOICES = {"text": ["a stone", "a bird", "a song"], "label": ["A", "B", "C"]}
PAIRS = [{"text": text, "label": label} for text, label in zip(*CHOICES.values(), strict=True)]

# name of the file, rows; name of the set, its level, language; text, choices, truth, group and stratum of the first
KNOWN = {
    "mmlu of the hub": (
        "test.jsonl",
        [{"question": "What flies?", "subject": "birds", "choices": CHOICES["text"], "answer": 1}],
        ("mmlu-test", "knowledge", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "birds"),
    ),
    "mmlu with letters": (
        "test.jsonl",
        [{"question": "What flies?", "subject": "birds", "choices": CHOICES["text"], "answer": "B"}],
        ("mmlu-test", "knowledge", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "birds"),
    ),
    "mmlu, multilingual": (
        "mmlu_DE-DE.csv",
        ",Question,A,B,C,D,Answer,Subject\n0,Was fliegt?,Stein,Vogel,Lied,Haus,B,birds\n",
        ("mmmlu-mmlu_DE-DE", "knowledge", "de", "Was fliegt?", ["Stein", "Vogel", "Lied", "Haus"], "Vogel",
         "mmmlu 0", "birds"),
    ),
    "arc of the hub": (
        "arc.jsonl",
        [{"id": "Mercury_1", "question": "What flies?", "choices": CHOICES, "answerKey": "B"}],
        ("arc", "knowledge", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "all"),
    ),
    "arc, first release": (
        "ARC-Test.jsonl",
        [{"id": "Mercury_1", "question": {"stem": "What flies?", "choices": PAIRS}, "answerKey": "B"}],
        ("arc-ARC-Test", "knowledge", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "all"),
    ),
    "arc, table": (
        "ARC-Test.csv",
        "questionID,AnswerKey,question\nM1,2,What flies? (1) a stone (2) a bird (3) a song\n",
        ("arc-ARC-Test", "knowledge", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "all"),
    ),
    "openbookqa of the hub": (
        "obqa.jsonl",
        [{"id": "7-1", "question_stem": "It flies:", "choices": CHOICES, "answerKey": "B"}],
        ("openbookqa-obqa", "knowledge", "en", "It flies:", CHOICES["text"], "a bird", "It flies:", "all"),
    ),
    "openbookqa, first release": (
        "test.jsonl",
        [{"id": "7-1", "question": {"stem": "It flies:", "choices": PAIRS}, "answerKey": "B"}],
        ("openbookqa-test", "knowledge", "en", "It flies:", CHOICES["text"], "a bird", "It flies:", "all"),
    ),
    "commonsenseqa of the hub": (
        "dev.jsonl",
        [{"id": "1f", "question": "What flies?", "question_concept": "fly", "choices": CHOICES, "answerKey": "B"}],
        ("commonsenseqa-dev", "commonsense", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "all"),
    ),
    "commonsenseqa, first release": (
        "dev.jsonl",
        [{"id": "1f", "question": {"stem": "What flies?", "question_concept": "fly", "choices": PAIRS},
          "answerKey": "B"}],
        ("commonsenseqa-dev", "commonsense", "en", "What flies?", CHOICES["text"], "a bird", "What flies?", "all"),
    ),
    "hellaswag": (
        "val.jsonl",
        [{"ind": 3, "ctx": "A man climbs a tree. He", "endings": ["sings.", "falls.", "swims.", "reads."],
          "source_id": "v1", "split_type": "indomain", "label": "1"}],
        ("hellaswag-val", "commonsense", "en", "A man climbs a tree. He", ["sings.", "falls.", "swims.", "reads."],
         "falls.", "v1", "indomain"),
    ),
    "piqa": (
        "valid.jsonl",
        [{"goal": "To open a jar", "sol1": "turn the lid", "sol2": "eat the lid", "label": 0}],
        ("piqa-valid", "commonsense", "en", "To open a jar", ["turn the lid", "eat the lid"], "turn the lid",
         "To open a jar", "all"),
    ),
    "winogrande": (
        "dev.jsonl",
        [{"qID": "3F-1", "sentence": "The cup did not fit the box because the _ was too large.", "option1": "cup",
          "option2": "box", "answer": "1"}],
        ("winogrande-dev", "commonsense", "en", "The cup did not fit the box because the",
         ["cup was too large.", "box was too large."], "cup was too large.", "3F", "all"),
    ),
    "boolq": (
        "dev.jsonl",
        [{"question": "do birds fly", "title": "Bird", "answer": True, "passage": "Most birds fly."}],
        ("boolq-dev", "reading", "en", "Most birds fly. do birds fly?", ["yes", "no"], "yes", "Most birds fly.", "all"),
    ),
    "boolq of superglue": (
        "dev.jsonl",
        [{"question": "do stones fly", "idx": 1, "label": 0, "passage": "Most birds fly."}],
        ("boolq-dev", "reading", "en", "Most birds fly. do stones fly?", ["yes", "no"], "no", "Most birds fly.", "all"),
    ),
    "folio": (
        "folio.jsonl",
        [{"premises": ["All birds fly.", "Ada is a bird."], "conclusion": "Ada flies.", "label": "True",
          "story_id": 4},
         {"premises": ["All birds fly."], "conclusion": "Ada is a bird.", "label": "Uncertain", "story_id": 5}],
        ("folio", "logic", "en", "All birds fly. Ada is a bird. True, false or uncertain: Ada flies.",
         ["True", "Uncertain"], "True", "4", "all"),
    ),
    "belebele": (
        "tha_Thai.jsonl",
        [{"link": "https://a", "question_number": 2, "flores_passage": "P.", "question": "Q?", "mc_answer1": "w",
          "mc_answer2": "x", "mc_answer3": "y", "mc_answer4": "z", "correct_answer_num": "3", "dialect": "tha_Thai"}],
        ("belebele-tha_Thai", "reading", "th", "P. Q?", ["w", "x", "y", "z"], "y", "https://a 2", "all"),
    ),
    "xcopa": (
        "test.it.jsonl",
        [{"premise": "La tazza cadde.", "choice1": "Si ruppe.", "choice2": "Rise.", "question": "effect", "label": 0,
          "idx": 7, "changed": False}],
        ("copa-test", "commonsense", "it", "La tazza cadde quindi", ["Si ruppe.", "Rise."], "Si ruppe.", "copa 7",
         "effect"),
    ),
    "blimp": (
        "anaphor.jsonl",
        [{"sentence_good": "Ann sees herself.", "sentence_bad": "Ann sees himself.", "UID": "anaphor", "pairID": "0"}],
        ("blimp-anaphor", "grammar", "en", "Which sentence is grammatical?", None, "Ann sees herself.",
         "anaphor Ann sees herself.", "anaphor"),
    ),
    "clams": (
        "simple_agrmt.txt",
        "True\tthe author laughs\nFalse\tthe author laugh\nTrue\tthe pilot smiles\nFalse\tthe pilot smile\n",
        ("clams-simple_agrmt", "grammar", "en", "Which sentence is grammatical?", None, "the author laughs",
         "simple_agrmt the author laughs", "simple_agrmt"),
    ),
    "svamp": (
        "svamp.json",
        [{"ID": "c-1", "Body": "Ann has 12 pens", "Question": "How many pens?", "Equation": "( 9.0 + 3.0 )",
          "Answer": 12.0, "Type": "Addition"}],
        ("svamp", "calculation", "en", "Ann has 12 pens. How many pens?", None, "12", None, "Addition"),
    ),
    "lre": (
        "capitals.json",
        {"name": "capital", "prompt_templates": ["The capital of {} is", "{}'s capital is"], "properties": {},
         "samples": [{"subject": f"land {i}", "object": f"city {i}"} for i in range(5)]},
        ("facts-capitals", "facts", "en", "The capital of land 0 is", None, "city 0", "capital land 0", "capital"),
    ),
    "lre without templates": (
        "fruit.json",
        {"name": "colour of fruit", "samples": [{"subject": "plums", "object": "blue"},
                                                {"subject": "kiwis", "object": "green"}]},
        ("facts-fruit", "facts", "en", "plums, colour of fruit:", None, "blue", "colour of fruit plums",
         "colour of fruit"),
    ),
    "mlama": (
        "mlama_short.tsv",
        "Prompt\tAns\tCandidate Ans\tSubject\nAnn plays <mask> music.\tjazz\tfolk, soul, jazz\tAnn\n"
        "Ann plays <mask> music.\tfolk\tsoul, jazz, folk\tAnn\nBo was born in <mask>.\tRome\tRome\tBo\n",
        ("facts-mlama_short", "facts", "en", "Ann plays", None, "jazz music", "Ann", "all"),
    ),
    "reclor": (
        "reclor_val.json",
        [{"context": "All birds fly.", "question": "What follows?", "answers": ["a", "b", "c", "d"], "label": 1,
          "id_string": "val_0"}],
        ("reclor_val", "logic", "en", "All birds fly. What follows?", ["a", "b", "c", "d"], "b", None, "all"),
    ),
    "lm-evaluation-harness": (
        "samples_arc_easy_2024.jsonl",
        [{"doc_id": 0, "doc": {"question": "What flies?"}, "target": "1", "resps": [[["-1.0", "False"]]],
          "arguments": {"gen_args_0": {"arg_0": "Question: What flies?\nAnswer:", "arg_1": " a stone"},
                        "gen_args_1": {"arg_0": "Question: What flies?\nAnswer:", "arg_1": " a bird"}}}],
        ("lm_eval-samples_arc_easy_2024", "samples_arc_easy_2024", "en", "Question: What flies?\nAnswer:",
         ["a stone", "a bird"], "a bird", "doc 0", "all"),
    ),
    "Inspect": (
        "2026-10-01_birds.json",
        {"version": 2, "status": "success", "eval": {"task": "birds"}, "samples": [
            {"id": "s1", "epoch": epoch, "target": "B", "choices": ["a stone", "a bird"], "messages": [],
             "input": [{"role": "system", "content": "Be brief."},
                       {"role": "user", "content": [{"type": "text", "text": "What flies?"}]}]} for epoch in (1, 2)]},
        ("inspect-2026-10-01_birds", "2026-10-01_birds", "en", "Be brief.\n\nWhat flies?", ["a stone", "a bird"],
         "a bird", "sample s1", "all"),
    ),
    "lm-evaluation-harness with a context per choice": (
        "samples_winogrande.jsonl",
        [{"doc_id": 3, "doc": {}, "target": 0,
          "arguments": [["It fits as the cup", " is small."], ["It fits as the box", " is small."]]}],
        ("lm_eval-samples_winogrande", "samples_winogrande", "en", "It fits as the", ["cup is small.", "box is small."],
         "cup is small.", "doc 3", "all"),
    ),
}  # fmt: skip


def written(folder: Path, name: str, rows) -> Path:
    path = folder / name
    if isinstance(rows, list) and name.endswith(".jsonl"):
        rows = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(rows if isinstance(rows, str) else json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", KNOWN)
def test_a_published_set_is_read_as_downloaded(tmp_path, kind):
    name, rows, (set_name, level, language, text, choices, truth, group, stratum) = KNOWN[kind]
    made = read_questions(str(written(tmp_path, name, rows)))
    question = made.items[0]
    assert (made.name, made.level, made.language) == (set_name, level, language)
    assert (question.text, question.truth, question.stratum) == (text, truth, stratum)
    assert question.group == (group or text)
    assert choices is None or list(question.choices) == choices


def test_mmlu_as_first_released_has_no_header_and_its_subject_in_its_name(tmp_path):
    table = 'What flies?,stone,bird,song,house,B\n"Which, if any, swims?",stone,bird,fish,house,C\n'
    made = read_questions(str(written(tmp_path, "animal_science_test.csv", table)))
    assert [q.truth for q in made.items] == ["bird", "fish"]
    assert {q.stratum for q in made.items} == {"animal_science"}
    assert (made.name, made.level) == ("mmlu-animal_science_test", "knowledge")


def test_the_hub_s_parquet_is_read(tmp_path):
    rows = {"question": ["What flies?"], "choices": [CHOICES], "answerKey": ["B"]}
    pq.write_table(pa.table(rows), tmp_path / "test-00000-of-00001.parquet")
    made = read_questions(str(tmp_path / "test-00000-of-00001.parquet"))
    assert (made.name, made.items[0].truth) == ("arc-test-00000-of-00001", "a bird")


def test_the_labels_of_piqa_may_be_in_a_file_beside(tmp_path):
    rows = [{"goal": f"goal {i}", "sol1": "x", "sol2": "y"} for i in range(3)]
    path = written(tmp_path, "valid.jsonl", rows)
    with pytest.raises(DataError, match=r"has no 'label'; expected labels in the rows or in 'valid-labels\.lst'"):
        read_questions(str(path))
    written(tmp_path, "valid-labels.lst", "1\n0\n1\n")
    assert [q.truth for q in read_questions(str(path)).items] == ["y", "x", "y"]
    written(tmp_path, "valid-labels.lst", "1\n0\n")
    with pytest.raises(DataError, match="has 2 labels; expected 3, one per row"):
        read_questions(str(path))


@pytest.mark.parametrize("kind", ["hellaswag", "commonsenseqa of the hub", "piqa"])
def test_a_split_without_answers_says_so(tmp_path, kind):
    name, rows, _ = KNOWN[kind]
    hidden = [{k: "" if k in ("label", "answerKey") else v for k, v in row.items()} for row in rows]
    with pytest.raises(DataError, match=r"line 1 has no answer.*; use a split with answers"):
        read_questions(str(written(tmp_path, name, hidden)))


def test_a_blank_at_the_start_leaves_the_sentence_as_the_question(tmp_path):
    row = {"qID": "a-1", "sentence": "_ laughed.", "option1": "Ann", "option2": "Bo", "answer": "2"}
    (question,) = read_questions(str(written(tmp_path, "dev.jsonl", [row]))).items
    assert (question.text, question.choices, question.truth) == ("_ laughed.", ("Ann", "Bo"), "Bo")


def test_minimal_pairs_are_judged_by_themselves_and_each_is_a_group(tmp_path):
    rows = [{"sentence_good": f"g {i}", "sentence_bad": f"b {i}", "UID": "u"} for i in range(8)]
    made = read_questions(str(written(tmp_path, "u.jsonl", [*rows, {**rows[0], "sentence_bad": "g 0"}])))
    assert made.evident
    assert len({q.group for q in made.items}) == 8
    assert sorted(q.answers[0] for q in made.items) == [0] * 4 + [1] * 4
    assert [entry.why for entry in made.dropped] == ["has 1 choices"]  # both sentences are the same, as in BLiMP


def test_the_folder_of_clams_names_its_language(tmp_path):
    (tmp_path / "de_evalset").mkdir()
    path = written(tmp_path / "de_evalset", "simple_agrmt.txt", "True\tder Autor lacht\nFalse\tder Autor lachen\n")
    assert read_questions(str(path)).language == "de"


def test_a_question_of_mmlu_is_one_group_in_every_language(tmp_path):
    header = ",Question,A,B,C,D,Answer,Subject\n"
    german = written(tmp_path, "mmlu_DE-DE.csv", f"{header}0,Was fliegt?,Stein,Vogel,Lied,Haus,B,birds\n")
    french = written(tmp_path, "mmlu_FR-FR.csv", f"{header}0,Qui vole?,pierre,oiseau,chant,maison,B,birds\n")
    first, second = read_questions(str(german)), read_questions(str(french))
    assert (first.language, second.language) == ("de", "fr")
    assert first.items[0].group == second.items[0].group


def test_clams_lines_that_are_no_pairs_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"line 1 is 'False'; expected True, then False"):
        read_questions(str(written(tmp_path, "x.txt", "False\ta\nTrue\tb\n")))


def test_a_sentence_of_clams_without_a_false_one_is_recorded(tmp_path):
    lines = "True\ta b\nTrue\tc d\nFalse\tc e\nFalse\tc f\nTrue\tg\n"
    pairs = read_questions(str(written(tmp_path, "x.txt", lines)))
    assert {frozenset(question.choices) for question in pairs.items} == {
        frozenset(("c d", "c e")),
        frozenset(("c d", "c f")),
    }
    assert len(pairs.dropped) == 2
    with pytest.raises(DataError, match="line 1 and the rest have no pair"):
        read_questions(str(written(tmp_path, "y.txt", "True\ta\nTrue\tb\n")))


def test_a_log_of_generated_text_is_refused(tmp_path):
    row = {"doc_id": 0, "doc": {}, "target": "5", "arguments": [["How many?", {"until": ["\n"]}]]}
    with pytest.raises(DataError, match="line 1 has 1 scored continuation; expected two or more"):
        read_questions(str(written(tmp_path, "samples_gsm8k.jsonl", [row])))


def test_a_log_of_inspect_asks_each_sample_once_with_all_its_answers(tmp_path):
    shared = {"input": "What swims?", "choices": ["a fish", "a lamp", "a duck"], "target": ["A", "C"]}
    rows = {"samples": [{"id": n, "epoch": epoch, **shared, "input": f"{n}?"} for epoch in (1, 2) for n in (1, 2)]}
    made = read_questions(str(written(tmp_path, "log.json", rows)))
    assert [(q.text, q.answers) for q in made.items] == [("1?", (0, 2)), ("2?", (0, 2))]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"choices": None}, "row 1 has 0 choices; expected two or more"),
        ({"target": "D"}, "has the answer 'D'; expected one of A, B"),
        ({"input": [{"role": "user", "content": [{"type": "image", "image": "x.png"}]}]}, "messages of text"),
    ],
)
def test_a_sample_of_inspect_that_cannot_be_asked_says_why(tmp_path, change, message):
    row = {"id": 1, "epoch": 1, "input": "What flies?", "choices": ["a stone", "a bird"], "target": "B"} | change
    with pytest.raises(DataError, match=message):
        read_questions(str(written(tmp_path, "log.json", {"samples": [row]})))


# The release that goes with arXiv 2312.04333


def test_a_prompt_has_no_candidate_that_another_row_calls_true(tmp_path):
    name, rows, _ = KNOWN["mlama"]
    made = read_questions(str(written(tmp_path, name, rows)))
    assert [sorted(q.choices) for q in made.items] == [["jazz music", "soul music"], ["folk music", "soul music"]]
    assert [(entry.where.rpartition(" ")[2], entry.why) for entry in made.dropped] == [("4", "has 1 choices")]


MPS = {"question": "2 + 2?", "truth_answer": ["It is 4"], "error": ["It is 5"]}


@pytest.mark.parametrize(
    ("name", "more", "level", "language", "evident", "confounded"),
    [
        ("gsm8k_cal_mc.json", {}, "calculation", "en", True, False),
        ("gsm8k_cal_mc_Thai.json", {"m_truth_answer": "x"}, "cross-lingual, mixed", "th", True, True),
        ("gsm8k_reason_mc_pure.json", {}, "reasoning", "en", False, False),
        (
            "gsm8k_reason_mc_pure_Thai.json",
            {"m_truth_answer": "x"},
            "cross-lingual reasoning, mixed",
            "th",
            False,
            True,
        ),
    ],
)
def test_the_name_of_a_file_tells_reasoning_from_calculation(
    tmp_path, name, more, level, language, evident, confounded
):
    made = read_questions(str(written(tmp_path, name, json.dumps({**MPS, **more}))))
    assert (made.level, made.language, made.evident, bool(made.confounded)) == (level, language, evident, confounded)


def test_a_row_of_one_choice_does_not_lose_the_release(tmp_path):
    rows = [MPS, {**MPS, "question": "3 + 3?", "error": ["It is 4"]}]
    made = read_questions(str(written(tmp_path, "gsm8k_cal_mc.json", "\n".join(map(json.dumps, rows)))))
    assert len(made.items) == 1
    assert [entry.why for entry in made.dropped] == ["has 1 choices"]


RELEASE = Path(os.environ.get("LAYERATLAS_LLAMA_ANALYSIS", families.shared_folder() / "llama_analysis" / "data"))


@pytest.mark.parametrize(
    ("name", "questions", "dropped"),
    [
        ("gsm8k_cal_mc.json", 710, 2),
        ("gsm8k_cal_mc_Chinese.json", 701, 0),
        ("gsm8k_cal_mc_French.json", 712, 0),
        ("gsm8k_cal_mc_Spanish.json", 712, 0),
        ("gsm8k_cal_mc_Thai.json", 712, 0),
        ("mlama_short.tsv", 3033, 37),
        ("reclor_val.json", 500, 0),
        ("TruthfulQA.csv", 817, 0),
    ],
)
def test_the_files_of_the_release_are_read_whole(name, questions, dropped):
    if not (RELEASE / name).is_file():
        pytest.skip("the release is not here")
    made = read_questions(str(RELEASE / name))
    assert (len(made.items), len(made.dropped)) == (questions, dropped)


# Labelled texts


def test_places_are_numbers_to_predict(tmp_path):
    rows = "".join(f"Town {i},{i * 3.5},{-i}.25,c{i % 3}\n" for i in range(20))
    path = written(tmp_path, "world_place.csv", f"name,latitude,longitude,country\n{rows}")
    latitude, longitude = read_table(path), read_table(f"{path}#longitude")
    assert (latitude.name, latitude.kind, latitude.texts[2], latitude.y[2]) == ("world_place", "number", "Town 2", 7.0)
    assert (longitude.name, longitude.kind, longitude.y[2]) == ("world_place-longitude", "number", -2.25)
    assert read_table(f"{path}#country").classes == ["c0", "c1", "c2"]
    with pytest.raises(DataError, match="has the columns name, latitude, longitude, country; expected 'name' and 'x'"):
        read_table(f"{path}#x")


def test_dates_of_world_models_are_years_to_predict(tmp_path):
    rows = "".join(f"Book {i},Author {i % 5},{1950 + i}-07-02,True\n" for i in range(24))
    path = written(tmp_path, "art.csv", f"title,creator,release_date,is_test\n{rows}")
    read = read_table(path)
    assert (read.kind, read.texts[1], len(set(read.y.tolist()))) == ("number", "Book 1", 24)
    assert read.y[1] == pytest.approx(1951 + 182 / 365)
    times = "".join(f"News {i},2015-01-{i + 1:02}T10:00:00+0000\n" for i in range(24))
    read = read_table(written(tmp_path, "headline.csv", f"headline,pub_date\n{times}"))
    assert (read.kind, read.y[3]) == ("number", pytest.approx(2015 + 3 / 365))
    # A table of one's own says what it means.
    with pytest.raises(DataError, match="occurs in one group"):
        read_table(written(tmp_path, "own.csv", f"text,label\n{times}"))
