"""Whole documents of about 100 words: their topic, and the sentiment of a review.

All end in one identical neutral sentence, so that the last tokens carry no cue to the label.
"""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import islice, permutations

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.shipped import rows
from layeratlas.data.task import Task

CLOSING = "The lines above were put on paper in one sitting, and they have not been changed since then."
# Documents per class in one block, each with the block's sentences in an order of its own. The first ten topic
# blocks come first, so that a quick run still has ten groups with every topic.
_TOPIC_ORDERS = {"quick": (1, 0), "standard": (2, 1), "full": (8, 8)}
_EARLY_BLOCKS = 10
_REVIEW_ORDERS = {"quick": 1, "standard": 3, "full": 16}


class Documents(Task):
    """Documents made of five sentences of one block in varying order, then a closing sentence common to all.

    Blocks are disjoint and a group is a block, so no sentence is both trained and tested on; each group holds every
    class equally often. `topic` has six topics, whose blocks with the same number make a group and have the same
    number of words. `sentiment` has reviews of six kinds of things; a group is five aspects of one kind, each judged
    well in the one class and badly in the other, in the same order, so that the class is not a matter of what is
    reviewed. More documents of one group differ in the order of their sentences only: they are repeated readings of
    the group rather than independent texts.
    """

    summary = "what is a document of 100 words about, and does it praise? topic (six), sentiment"
    levels = {"document": "topic and sentiment of documents"}

    def build(self, size: Size) -> list[Dataset]:
        """Return two data sets, `topic` and `sentiment`."""
        return [
            Dataset("topic", "document", tuple(_topics(size))),
            Dataset("sentiment", "document", tuple(_reviews(size))),
        ]


def _topics(size: Size) -> list[Item]:
    blocks: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in rows("documents_topic"):
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
    for row in rows("documents_sentiment"):
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
    """Return the first `count` of the orders of so many sentences, in a fixed random sequence."""
    every = list(permutations(range(sentences)))
    random.Random(f"documents-{seed}").shuffle(every)
    return list(islice(every, count))


def _document(sentences: list[str], order: tuple[int, ...]) -> str:
    return " ".join([*(sentences[i] for i in order), CLOSING])


PLUGIN = Documents()
