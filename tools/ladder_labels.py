"""Labelled texts from published corpora, for `benchmarks/best_layer.py` on a model that knows little but these corpora.

    python tools/ladder_labels.py DATA --out ladder/labels [--per-class 500]

DATA holds `ud_ewt/` (sentences.tsv.gz, *.conllu.gz), `movie_reviews/documents.tsv.gz` and
`filler_public_domain/sentences.tsv.gz`. Each file that is written is one label, balanced over its classes; `group` is
the document, or the speaker's address. Most texts are of at most eight words, so that the benchmark can put them into
another template. `--per-class` takes more texts where the corpora have them: a layer is chosen better by more texts.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ladder_texts import Row, write_table

# Texts of each class: where there are two, and where there are more.
OF_TWO, OF_MORE = 100, 60
SHORT = 8
KINDS = ("NOUN", "VERB", "ADJ", "ADP")
# The label and the column of sentences.tsv.gz.
MORPHOLOGY = {"verb_tense": "tense", "subject_number": "subj_number", "object_number": "obj_number"}
NOT = {"not", "n't", "no", "never"}


def row(text: str, label: str, group: str) -> Row:
    """Return a labelled text."""
    return {"text": text, "label": label, "group": group}


def lines_of(path: Path) -> Iterator[Row]:
    """Yield the rows of a gzipped table."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def document(sentence: str) -> str:
    """Return the document of a sentence's name."""
    return sentence.rpartition("-")[0]


def sentence_labels(data: Path) -> Iterator[tuple[str, Row]]:
    """Yield labels of UD sentences: tense, numbers, genre, question, order of words, depth of the tree."""
    for sentence in lines_of(data / "ud_ewt" / "sentences.tsv.gz"):
        group, text, count = document(sentence["sent_id"]), sentence["text"], len(sentence["text"].split())
        if 4 <= count <= SHORT:
            for name, column in MORPHOLOGY.items():
                if sentence[column] in ("Past", "Pres", "Sing", "Plur"):
                    yield name, row(text, sentence[column], group)
            yield "genre", row(text, sentence["genre"], group)
            if text[-1] in ".?" and text[-2].isalpha():
                yield "question", row(text[:-1], "question" if text[-1] == "?" else "statement", group)
            if sentence["bigram_shift"]:
                yield "shifted", row(sentence["tokens"], "as written", group)
                yield "shifted", row(sentence["bigram_shift"], "shifted", group)
        depth = int(sentence["tree_depth"])
        if 10 <= count <= 14 and not 3 < depth < 6:
            yield "tree", row(text, "flat" if depth <= 3 else "deep", group)


def parsed(data: Path) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the parsed sentences of UD as (document, words with their columns)."""
    for path in sorted((data / "ud_ewt").glob("*.conllu.gz")):
        name, words = "", []
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                if line.startswith("# sent_id = "):
                    name = line.removeprefix("# sent_id = ").strip()
                elif line[0].isdigit() and line.split("\t")[0].isdecimal():
                    words.append(line.rstrip("\n").split("\t"))
                elif not line.strip() and words:
                    yield document(name), words
                    words = []


def word_labels(data: Path) -> Iterator[tuple[str, Row]]:
    """Yield beginnings of sentences with the word class of their last word, the one before and the one after it."""
    for group, words in parsed(data):
        for end in range(4, min(len(words), SHORT + 1)):
            text = " ".join(word[1] for word in words[:end])
            for name, at in (("class_now", end - 1), ("class_before", end - 2), ("class_next", end)):
                if words[at][3] in KINDS:
                    yield name, row(text, words[at][3], group)


def review_labels(data: Path) -> Iterator[tuple[str, Row]]:
    """Yield parts of reviews: sentiment, an open or closed bracket, he or she, with and without a negation."""
    for review in lines_of(data / "movie_reviews" / "documents.tsv.gz"):
        words, group = review["text"].split(), review["file"]
        label = "positive" if review["positive"] == "1" else "negative"
        yield "sentiment", row(" ".join(words[-40:]), label, group)
        for start in range(0, len(words) - SHORT, SHORT):
            part = words[start : start + SHORT]
            if "(" in part[1:5] and part[-1] not in "()":
                opened = part.index("(")
                if ")" not in part or opened < part.index(")"):
                    yield "bracket", row(" ".join(part), "closed" if ")" in part else "open", group)
            if len({"he", "she"} & set(part[:5])) == 1:
                yield "he_or_she", row(" ".join([*part[:6], "of", "the"]), "he" if "he" in part[:5] else "she", group)
            yield "negated", row(" ".join([*part[:6], "of", "the"]), "no" if NOT.isdisjoint(part[:6]) else "yes", group)


def address_labels(data: Path) -> Iterator[tuple[str, Row]]:
    """Yield parts of addresses with their period."""
    for sentence in lines_of(data / "filler_public_domain" / "sentences.tsv.gz"):
        year, words = int(sentence["document"][:4]), sentence["text"].split()
        if year < 1930 or year >= 1990:
            text = " ".join([*words[:10], "of", "the"])
            yield "period", row(text, "before 1930" if year < 1930 else "after 1990", sentence["document"])


def balanced(rows: Sequence[Row], rng: np.random.Generator, per_class: int | None = None) -> list[Row]:
    """Return as many texts of each class, at most `per_class` (else OF_TWO or OF_MORE), in random order, each once."""
    unique = list({row["text"].lower(): row for row in rows}.values())
    by_class: dict[str, list[Row]] = {}
    for at in rng.permutation(len(unique)):
        by_class.setdefault(unique[at]["label"], []).append(unique[at])
    most = per_class or (OF_TWO if len(by_class) == 2 else OF_MORE)
    count = min(most, *(len(members) for members in by_class.values()))
    return [one for members in by_class.values() for one in members[:count]]


def main() -> None:
    """Write one table per label."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--per-class", type=int, help="texts of each class at most")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[Row]] = {}
    for labels in (sentence_labels, word_labels, review_labels, address_labels):
        for name, labelled in labels(given.data):
            tables.setdefault(name, []).append(labelled)
    for name, rows in tables.items():
        kept = balanced(rows, np.random.default_rng(0), given.per_class)
        write_table(kept, given.out / f"{name}.csv")
        print(f"{name}: {len(kept)} texts, {len({one['label'] for one in kept})} classes")


if __name__ == "__main__":
    main()
