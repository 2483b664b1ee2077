"""Properties of single nouns: "An apple" is edible, not an animal, not man-made, smaller than a person."""

from __future__ import annotations

from collections.abc import Callable

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list, with_article
from layeratlas.data.task import Task

_PAIRS = {"quick": 64, "standard": 200, "full": 1000}


class Items(Task):
    """Four yes/no properties of nouns: edible, animal, man-made, larger than a person.

    Each property is measured on pairs of a noun with it and one without it, matched on frequency, length and token
    count (`tools/match_items.py`). The group is the noun. The second word list, from WordNet, has the first three.
    """

    summary = "what is the thing? 'An apple'; edible, animal, manmade, large"
    levels = {"item": "item properties"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set per property."""
        article = {row["noun"]: row["article"] for row in read_list("items")}
        first = _by_property("items_matched", _PAIRS[size], lambda noun: f"{article[noun]} {noun}")
        second = _by_property("items_wordnet", _PAIRS[size], with_article)
        others = {name: Dataset(name, "item", items) for name, items in second.items()}
        return [Dataset(name, "item", items, other_words=others.get(name)) for name, items in first.items()]


def _by_property(words: str, pairs: int, with_article: Callable[[str], str]) -> dict[str, tuple[Item, ...]]:
    """Return the texts of a word list's first pairs per property."""
    found: dict[str, list[Item]] = {}
    for row in read_list(words):
        items = found.setdefault(row["property"], [])
        if len(items) < 2 * pairs:
            for noun, label in ((row["positive"], row["property"]), (row["negative"], f"not {row['property']}")):
                text = with_article(noun)
                thing = text[0].lower() + text[1:]
                wordings = (f"This is {thing}", f"I was thinking of {thing}")
                items.append(Item(text, label, noun, wordings=wordings))
    return {name: tuple(items) for name, items in found.items()}


PLUGIN = Items()
