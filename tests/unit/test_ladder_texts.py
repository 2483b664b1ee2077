"""The texts and questions of the ladder: what tells the answers apart, and what does not."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from scripts import script

texts = script("tools/ladder_texts.py")
labels = script("tools/ladder_labels.py")
WORDS = [f"{first}{second}" for first in "bcdfghklmn" for second in ("a", "e", "i", "o", "u", "y")]
FOLLOWING = 8


def corpus(seed: int = 0) -> texts.Corpus:
    """Return passages of a Markov chain: eight words may follow each word, equally often."""
    rng = np.random.default_rng(seed)
    follow = {word: rng.choice(WORDS, FOLLOWING, replace=False) for word in WORDS}
    passages = []
    for _ in range(400):
        words = [str(rng.choice(WORDS))]
        while len(words) < 80:
            words.append(str(rng.choice(follow[words[-1]])))
        passages.append(" ".join(words))
    home = {passage: f"file {i % 2}" for i, passage in enumerate(passages)}
    return texts.Corpus.of(passages[40:], passages[:40], home)


CORPUS = corpus()


def asked(foils: Callable[..., dict[str, int]]) -> list[dict]:
    return texts.questions(CORPUS, lambda word: True, foils)


def accuracy(questions: list[dict], score: Callable[[str, str], int]) -> tuple[int, int]:
    """Return how many questions a rule answers that chooses the word of the highest score, and how many there are."""
    right = 0
    for question in questions:
        scores = [score(question["question"].split()[-1], word) for word in question["choices"]]
        right += int(np.argmax(scores)) == question["answer"]
    return right, len(questions)


def after(last: str, word: str) -> int:
    return CORPUS.pairs[last, word]


def alone(last: str, word: str) -> int:
    return CORPUS.words[word]


@pytest.mark.parametrize(
    ("foils", "rule", "answered"),
    [
        (texts._never_after, after, True),
        (texts._never_after, alone, False),
        (texts._equally_often_after, after, False),
        (texts._equally_often_after, alone, False),
    ],
)
def test_the_last_word_tells_the_answer_in_one_set_alone(foils, rule, answered):
    """Of a chain of words nothing but the last word can tell what follows; frequencies tell nothing in either set."""
    right, count = accuracy(asked(foils), rule)
    assert count > 150
    if answered:
        assert right == count
    else:
        assert binom.ppf(0.001, count, 0.25) <= right <= binom.ppf(0.999, count, 0.25)


@pytest.mark.parametrize("foils", [texts._never_after, texts._equally_often_after])
def test_a_question_is_what_a_held_out_passage_says(foils):
    places = {}
    for question in asked(foils):
        passage = CORPUS.held_out[int(question["group"])]
        whole = f"{question['question']} {question['choices'][question['answer']]}"
        assert whole in passage
        assert len(set(question["choices"])) == texts.CHOICES
        places.setdefault(question["group"], []).append(passage.index(whole))
    words = texts.ASKED * 3  # two letters and a space each
    for starts in places.values():
        assert all(later - earlier >= words for earlier, later in pairwise(starts))


@pytest.mark.parametrize("back", [2, 4])
def test_a_text_is_labelled_by_the_word_so_many_words_before_the_last(back):
    rows = texts.words_back(CORPUS, back)
    counts = Counter(row["label"] for row in rows)
    assert len(counts) == 4
    for row in rows:
        assert row["text"].split()[-1 - back] == row["label"]
        assert row["text"] in CORPUS.held_out[int(row["group"])]


def test_all_texts_of_a_file_end_alike(tmp_path):
    texts.write_all(CORPUS, lambda word: True, tmp_path)
    with (tmp_path / "sources.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"file 0", "file 1"}
    assert all(row["text"].endswith(" of the") for row in rows)
    lines = (tmp_path / "contexts.jsonl").read_text(encoding="utf-8").splitlines()
    assert all(len(json.loads(line)["choices"]) == 4 for line in lines)


def table(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", quoting=csv.QUOTE_NONE)
        writer.writeheader()
        writer.writerows(rows)


def test_labels_are_those_of_the_text(tmp_path):
    part = "he saw ( a film ) of one"
    reviews = [
        {"positive": "1", "file": "one", "text": f"{part} she saw ( a film of not one"},
        {"positive": "0", "file": "two", "text": "he did not go there at all today or so"},
    ]
    table(tmp_path / "movie_reviews" / "documents.tsv.gz", reviews)
    found: dict[str, dict[str, str]] = {}
    for name, row in labels.review_labels(tmp_path):
        found.setdefault(name, {})[row["text"]] = row["label"]
    assert found["bracket"] == {part: "closed"}
    assert found["he_or_she"] == {"he saw ( a film ) of the": "he", "he did not go there at of the": "he"}
    assert found["negated"] == {"he saw ( a film ) of the": "no", "he did not go there at of the": "yes"}
    assert sorted(found["sentiment"].values()) == ["negative", "positive"]


def test_classes_are_balanced_and_no_text_has_two_labels():
    rows = [labels.row(f"text {i}", "a" if i < 30 else "b", str(i)) for i in range(50)]
    rows += [labels.row("Text 1", "b", "x")]
    kept = labels.balanced(rows, np.random.default_rng(0))
    assert Counter(row["label"] for row in kept) == {"a": 21, "b": 21}
    assert len({row["text"].lower() for row in kept}) == len(kept)


@pytest.mark.parametrize(("per_class", "count"), [(None, labels.OF_TWO), (120, 120), (500, 150)])
def test_as_many_texts_are_taken_of_each_class_as_asked_for_where_there_are_so_many(per_class, count):
    rows = [labels.row(f"text {i}", "ab"[i % 2], str(i)) for i in range(300)]
    kept = labels.balanced(rows, np.random.default_rng(0), per_class)
    assert Counter(row["label"] for row in kept) == {"a": count, "b": count}
