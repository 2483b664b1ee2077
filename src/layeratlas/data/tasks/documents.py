"""Whole documents of about 100 words: their topic, and the sentiment of a review.

All end in one identical neutral sentence, so that the last tokens carry no cue to the label.
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import permutations

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task

CLOSING = "The lines above were put on paper in one sitting, and they have not been changed since then."
# Documents per class and block, each with the sentences in a different order: in the first ten topic blocks and in
# the others. A quick run thus has ten groups with every topic.
_TOPIC_ORDERS = {"quick": (1, 0), "standard": (2, 1), "full": (8, 8)}
_EARLY_BLOCKS = 10
_REVIEW_ORDERS = {"quick": 1, "standard": 3, "full": 16}


class Documents(Task):
    """Documents made of five sentences of one block in varying order, then a common closing sentence.

    Blocks are disjoint and a group is a block, so no sentence is both trained and tested on; each group holds every
    class equally often. `topic` has six topics; blocks with the same number form a group and have the same number of
    words. `sentiment` has reviews of six kinds of things; a group is five aspects of one kind, praised in one class
    and criticised in the other, in the same order, so that the class does not depend on what is reviewed. Further
    documents of a group differ only in the order of their sentences: they are repeated readings of the group, not
    independent texts.
    """

    summary = "what is a 100-word document about (six topics), and is its sentiment positive?"
    levels = {"document": "topic and sentiment of documents"}

    def build(self, size: Size) -> list[Dataset]:
        """Return two data sets, `topic` and `sentiment`."""
        return [
            Dataset("topic", "document", tuple(_topics(size))),
            Dataset("sentiment", "document", tuple(_reviews(size))),
        ]


def _topics(size: Size) -> list[Item]:
    blocks: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in read_list("documents_topic"):
        blocks[int(row["block"])][row["topic"]].append(row["sentence"])
    early, late = _TOPIC_ORDERS[size]
    items = []
    for block, topics in blocks.items():
        for topic, sentences in topics.items():
            group = f"block-{block:02d}"
            for order in _orders(f"{topic}-{group}", len(sentences), early if block < _EARLY_BLOCKS else late):
                items.append(Item(_document(sentences, order), topic, group, unit=topic))
    return items


def _reviews(size: Size) -> list[Item]:
    blocks: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"positive": [], "negative": []})
    for row in read_list("documents_sentiment"):
        for label, sentences in blocks[f"{row['kind']}-{row['block']}"].items():
            sentences.append(row[label])
    items = []
    for group, classes in blocks.items():
        for order in _orders(group, len(classes["positive"]), _REVIEW_ORDERS[size]):
            items += [
                Item(_document(sentences, order), label, group, unit=label) for label, sentences in classes.items()
            ]
    return items


def _orders(seed: str, sentences: int, count: int) -> list[tuple[int, ...]]:
    """Return the first `count` orders of the sentences, in a fixed random sequence."""
    orders = list(permutations(range(sentences)))
    random.Random(f"documents-{seed}").shuffle(orders)
    return orders[:count]


def _document(sentences: list[str], order: tuple[int, ...]) -> str:
    return " ".join([*(sentences[i] for i in order), CLOSING])


PLUGIN = Documents()
