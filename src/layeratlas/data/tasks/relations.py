"""Two-item relations: "A church and organ" against "A church and wing"."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list, with_article
from layeratlas.data.task import Task

_GROUPS_PER_TYPE = {"quick": 25, "standard": 38, "full": 1000}
Row = dict[str, str]


class Relations(Task):
    """Related and unrelated pairs over four relation types (place, part, kind, use).

    Two related pairs of one type, from different themes, form a group of four texts: both pairs, and both with their
    second words swapped. Every word is then equally frequent in both classes, so neither word alone predicts the
    label, and groups are never split across folds, so no tested word was seen in training. The full size also has each
    text in the other order, "An organ and church", in the same group. The second word list, from WordNet, has parts and
    kinds.
    """

    summary = "are the two things related? 'A church and organ'; four relation types"
    levels = {"relation": "two-item relations"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set, `relations`, whose strata are the relation types."""
        first, second = (
            self.of(_GROUPS_PER_TYPE[size], size == "full", words) for words in ("relations", "relations_wordnet")
        )
        return [replace(first, other_words=second)]

    def of(self, groups_per_type: int, both_orders: bool = False, words: str = "relations") -> Dataset:
        """Return the first `groups_per_type` groups of each relation type; with `both_orders` also in reversed order.

        A group has no reversed texts if one of them is a graded pair, because tasks do not share texts.
        """
        graded = {f"{row['article']} {row['x']} and {row['y']}" for row in read_list("relatedness")}
        items: list[Item] = []
        for relation, couples in _couples(words).items():
            for number, (left, right) in enumerate(couples[:groups_per_type]):
                group = f"{relation}-{number:03d}"
                crossed = [(left, left), (right, right), (left, right), (right, left)]
                reversed_texts = [f"{with_article(b['y'])} and {a['x']}" for a, b in crossed]
                add_reversed = both_orders and not graded & set(reversed_texts)
                for (first, second), backwards in zip(crossed, reversed_texts, strict=True):
                    label = "related" if first is second else "unrelated"
                    x, y = first["x"], second["y"]
                    thing = f"{first['article']} {x}" if "article" in first else with_article(x)
                    items.append(Item(f"{thing} and {y}", label, group, relation, wordings=pair_wordings(x, y)))
                    if add_reversed:
                        items.append(Item(backwards, label, group, relation, wordings=pair_wordings(y, x)))
        return Dataset("relations", "relation", tuple(items))


def pair_wordings(first: str, second: str) -> tuple[str, ...]:
    """Return a pair of nouns in the other wordings of "A church and organ"."""
    return f"The {first} and the {second}", f"Two things: {first}, {second}"


def _couples(words: str) -> dict[str, list[tuple[Row, Row]]]:
    by_relation: dict[str, list[Row]] = defaultdict(list)
    for row in read_list(words):
        by_relation[row["relation"]].append(row)
    return {name: _pair_up(members, random.Random(f"relations-{name}")) for name, members in by_relation.items()}


def _pair_up(members: list[Row], rng: random.Random) -> list[tuple[Row, Row]]:
    """Pair rows of different themes, the largest themes first so that few rows remain unpaired."""
    themes: dict[str, list[Row]] = defaultdict(list)
    for row in rng.sample(members, len(members)):
        themes[row["theme"]].append(row)
    couples = []
    while sum(bool(remaining) for remaining in themes.values()) >= 2:
        order = sorted((t for t in themes if themes[t]), key=lambda t: (-len(themes[t]), t))
        couples.append((themes[order[0]].pop(), themes[rng.choice(order[1:])].pop()))
    rng.shuffle(couples)
    return couples


PLUGIN = Relations()
