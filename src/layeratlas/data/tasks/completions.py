"""Prompts whose next word depends on a label that probes decode: "A crow is a kind of", "The storks near the trees"."""

from __future__ import annotations

from collections.abc import Iterator

from layeratlas.core.spec import Size
from layeratlas.data.lists import read_list
from layeratlas.data.prompts import Prompt, PromptSet
from layeratlas.data.task import Task

_GROUPS = {"quick": 50, "standard": 120, "full": 1000}
_CONTINENTS = ("Africa", "Asia", "Europe")


class Completions(Task):
    """Six sets of prompts; the class of a prompt determines which of the set's answers is right.

    They are built from the lists of other tasks: nouns that are animals or not (items), subjects in the singular or the
    plural and verbs in the past or the present (morphology), countries by continent, pairs of a country and its capital
    or its adjective, and sentences of good and bad reviews (documents). All prompts of a set end in the same words, so
    the last token alone gives no information on the class. There is no set for related pairs of nouns, because no
    prompt asks for relatedness with a single next word.
    """

    summary = (
        "what comes next? prompts whose answer needs a label: animal, number, tense, continent, analogy, sentiment"
    )
    levels = {
        "item": "animal or object",
        "number": "number of the subject",
        "tense": "tense",
        "fact": "continents",
        "analogy": "capital or nationality",
        "sentiment": "sentiment",
    }

    def build(self, size: Size) -> list[PromptSet]:
        """Return one set per level; smaller sizes take the first groups."""
        count = _GROUPS[size]
        made = {
            "animal": ("item", _animals(count)),
            "subject": ("number", _number(count)),
            "verb": ("tense", _tense(count)),
            "continent": ("fact", _continents()),
            "country": ("analogy", _countries()),
            "review": ("sentiment", _reviews(count)),
        }
        return [PromptSet(name, level, tuple(prompts)) for name, (level, prompts) in made.items()]


def _animals(count: int) -> Iterator[Prompt]:
    article = {row["noun"]: row["article"] for row in read_list("items")}
    rows = [row for row in read_list("items_matched") if row["property"] == "animal"]
    for row in rows[:count]:
        for noun, label in ((row["positive"], "animal"), (row["negative"], "object")):
            yield Prompt(f"{article[noun]} {noun} is a kind of", label, noun, ("animal", "object"))


def _number(count: int) -> Iterator[Prompt]:
    for i, row in enumerate(read_list("grammar_number")[:count]):
        for label in ("singular", "plural"):
            yield Prompt(f"The {row[label]} near the trees", label, f"number-{i:03d}", ("were", "was"))


def _tense(count: int) -> Iterator[Prompt]:
    for i, row in enumerate(read_list("grammar_tense")[:count]):
        for label, verb in (("past", row["past"]), ("present", row["third"])):
            text = f"The {row['singular']} {verb} {row['rest']} because it"
            yield Prompt(text, label, f"tense-{i:03d}", ("was", "is"))


def _continents() -> Iterator[Prompt]:
    for row in read_list("countries"):
        country = row["country"]
        yield Prompt(f"The continent on which {country} lies is", row["continent"], country, _CONTINENTS)


def _countries() -> Iterator[Prompt]:
    """Yield each of two countries after the other's capital and adjective; the two form a group."""
    rows = read_list("countries")
    for number, (first, second) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        for shown, asked in ((first, second), (second, first)):
            for label in ("adjective", "capital"):
                text = f"{shown['country']} is to {shown[label]} as {asked['country']} is to"
                yield Prompt(text, label, f"countries-{number:02d}", (asked["adjective"], asked["capital"]))


def _reviews(count: int) -> Iterator[Prompt]:
    for i, row in enumerate(read_list("documents_sentiment")[: 2 * count]):
        for label in ("negative", "positive"):
            yield Prompt(f"{row[label]} Overall, it was very", label, f"review-{i:03d}", ("bad", "good"))


PLUGIN = Completions()
