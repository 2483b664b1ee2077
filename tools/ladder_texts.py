"""Texts and questions of which the small models of `train_ladder.py` can learn something, made from their own corpora.

`train_ladder.py` writes them beside the models. All are cut from the held-out passages:

- `sources.csv`: which file is a text from? Every text ends in the same two words.
- `two_back.csv`, `four_back.csv`: which of four frequent words stands two or four words before the last one?
- `bigrams.jsonl`: which of four words of similar frequency comes next, where the last word alone tells?
- `contexts.jsonl`: the same, where all four follow the last word equally often in training, so that earlier words tell.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

# Texts of each file in the table of sources, texts of each word in the tables of words back, questions of each file.
SOURCES, OF_WORD, QUESTIONS = 80, 60, 120
# Words of a text of the sources, of one of the words back, and of the beginning of a question.
WORDS, SHORT, ASKED = 10, 8, 12
BACK = {"two_back": 2, "four_back": 4}
CHOICES = 4
# A continuation is known if training has it so often; choices are alike if their counts differ by at most this factor.
KNOWN, ALIKE = 5, 1.5

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The words of the training passages, and the held-out passages, each with the file that it is from."""

    words: Counter[str]
    pairs: Counter[tuple[str, str]]
    held_out: Sequence[str]
    home: Mapping[str, str]

    @classmethod
    def of(cls, training: Sequence[str], held_out: Sequence[str], home: Mapping[str, str]) -> Corpus:
        """Count the words of the training passages."""
        split = [text.split() for text in training]
        return cls(
            words=Counter(word for words in split for word in words),
            pairs=Counter(pair for words in split for pair in pairwise(words)),
            held_out=held_out,
            home=home,
        )


@dataclass(frozen=True, kw_only=True)
class Place:
    """A word of a held-out passage with what precedes it; `group` is the passage."""

    before: tuple[str, ...]
    word: str
    at: int
    group: int
    file: str


def write_all(corpus: Corpus, is_token: Callable[[str], bool], out: Path) -> None:
    """Write all files; `is_token` tells whether a word after a space is a single token."""
    write_table(sources(corpus), out / "sources.csv")
    for name, back in BACK.items():
        write_table(words_back(corpus, back), out / f"{name}.csv")
    for name, foils in (("bigrams", _never_after), ("contexts", _equally_often_after)):
        asked = questions(corpus, is_token, foils)
        lines = (json.dumps(question, ensure_ascii=False) + "\n" for question in asked)
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Write labelled texts, each once."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, ["text", "label", "group"])
        table.writeheader()
        table.writerows({row["text"]: row for row in rows}.values())


def sources(corpus: Corpus) -> list[Row]:
    """Return texts that only what came before tells apart.

    Ten words of a passage, then the same two words in all texts, so that the last token says nothing itself.
    """
    rows: dict[str, list[Row]] = {}
    for number, passage in enumerate(corpus.held_out):
        words, label = passage.split(), corpus.home[passage]
        for start in range(0, min(len(words) - WORDS, 4 * WORDS), WORDS):
            text = f"{' '.join(words[start : start + WORDS])} of the"
            rows.setdefault(label, []).append({"text": text, "label": label, "group": str(number)})
    return [row for of_file in rows.values() for row in of_file[:SOURCES]]


def words_back(corpus: Corpus, back: int) -> list[Row]:
    """Return texts labelled by the word so many words before the last one: one of the four most frequent words."""
    labels = [word for word, _ in corpus.words.most_common() if word.isalpha()][:CHOICES]
    rows: dict[str, list[Row]] = {label: [] for label in labels}
    for number, passage in enumerate(corpus.held_out):
        words = passage.split()
        for start in range(0, len(words) - SHORT, SHORT):
            text = words[start : start + SHORT]
            if (label := text[-1 - back]) in rows:
                rows[label].append({"text": " ".join(text), "label": label, "group": str(number)})
    return [row for of_label in rows.values() for row in of_label[:OF_WORD]]


def _places(corpus: Corpus, is_token: Callable[[str], bool]) -> Iterator[Place]:
    """Yield the places where a frequent continuation follows."""
    for number, passage in enumerate(corpus.held_out):
        words = passage.split()
        for at in range(ASKED, len(words)):
            pair, word = (words[at - 1], words[at]), words[at]
            if corpus.pairs[pair] >= KNOWN and word.isalpha() and is_token(word):
                before = tuple(words[at - ASKED : at])
                yield Place(before=before, word=word, at=at, group=number, file=corpus.home[passage])


def _alike(one: int, other: int) -> bool:
    return other <= ALIKE * one and one <= ALIKE * other


def _never_after(corpus: Corpus, place: Place, truths: Counter[str]) -> dict[str, int]:
    """Return words that are as frequent as the true word and never follow the last one.

    Weighted by how often each is true at other places, so that false choices are no rarer truths than true ones.
    """
    last, count = place.before[-1], corpus.words[place.word]
    alike = {word: times for word, times in truths.items() if _alike(corpus.words[word], count)}
    return {word: times for word, times in alike.items() if not corpus.pairs[last, word]}


def _equally_often_after(corpus: Corpus, place: Place, truths: Counter[str]) -> dict[str, int]:
    """Return words that follow the last one as often as the true word does, each with the same weight."""
    last = place.before[-1]
    count = corpus.pairs[last, place.word]
    return {word: 1 for word in truths if word != place.word and _alike(corpus.pairs[last, word], count)}


def questions(
    corpus: Corpus, is_token: Callable[[str], bool], foils: Callable[[Corpus, Place, Counter[str]], dict[str, int]]
) -> list[dict[str, object]]:
    """Return questions to complete, at places that do not overlap, in random order of the passages."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(corpus.held_out))
    places = sorted(_places(corpus, is_token), key=lambda place: order[place.group])
    truths = Counter(place.word for place in places)
    taken: Counter[str] = Counter()
    free: Counter[int] = Counter()
    asked: dict[str, dict[str, object]] = {}
    for place in places:
        text = " ".join(place.before)
        if taken[place.file] == QUESTIONS or text in asked or place.at < free[place.group]:
            continue
        weights = foils(corpus, place, truths)
        if len(weights) < CHOICES - 1:
            continue
        share = np.array(list(weights.values())) / sum(weights.values())
        wrong = rng.choice(list(weights), CHOICES - 1, replace=False, p=share)
        choices = [str(word) for word in rng.permutation([place.word, *wrong])]
        answer = choices.index(place.word)
        asked[text] = {"question": text, "choices": choices, "answer": answer, "group": str(place.group)}
        taken[place.file] += 1
        free[place.group] = place.at + ASKED
    return list(asked.values())
