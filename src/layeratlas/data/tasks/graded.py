"""Graded labels: the size of an object ("An apple"), the relatedness of two nouns ("A church and steeple")."""

from __future__ import annotations

import math
from collections import defaultdict

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task
from layeratlas.data.tasks.relations import pair_wordings

_NOUNS_PER_DECADE = {"quick": 24, "standard": 1000, "full": 1000}
_ANCHORS = {"quick": 30, "standard": 1000, "full": 1000}


class Graded(Task):
    """Numeric labels instead of classes: the size of an object and the relatedness of two nouns.

    `size` is the decimal logarithm of the typical longest dimension in centimetres, from 1 mm to 100 m; the group
    is the noun, and every decade has several categories of things. `relatedness` runs from 0 to 10; four pairs
    share their second word and form a group, and no other word is in two pairs, so within a group the last word is
    uninformative and no tested word was seen in training. Both labels are the author's own estimates; no data set
    was used.
    """

    summary = "how long is the thing ('An apple'), how related are the two ('A church and steeple')? numbers"
    levels = {"graded item": "sizes of things", "graded relation": "degrees of relatedness"}

    def build(self, size: Size) -> list[Dataset]:
        """Return `size` (level graded item) and `relatedness` (level graded relation), both of kind number."""
        return [
            Dataset("size", "graded item", tuple(_sizes(size)), kind="number"),
            Dataset("relatedness", "graded relation", tuple(_relatedness(size)), kind="number"),
        ]


def _sizes(size: Size) -> list[Item]:
    """The first nouns of each decade, in file order."""
    count: dict[int, int] = defaultdict(int)
    items = []
    for row in read_list("sizes"):
        label = round(math.log10(float(row["cm"])), 3)
        decade = min(math.floor(label), 3)
        count[decade] += 1
        if count[decade] <= _NOUNS_PER_DECADE[size]:
            thing = f"{row['article'].lower()} {row['noun']}"
            wordings = (f"This is {thing}", f"I was thinking of {thing}")
            items.append(Item(f"{row['article']} {row['noun']}", label, row["noun"], wordings=wordings))
    return items


def _relatedness(size: Size) -> list[Item]:
    """All pairs of the first anchors (the shared second words), in file order."""
    anchors: dict[str, list[Item]] = defaultdict(list)
    for row in read_list("relatedness"):
        text = f"{row['article']} {row['x']} and {row['y']}"
        wordings = pair_wordings(row["x"], row["y"])
        anchors[row["y"]].append(Item(text, float(row["rating"]), row["y"], wordings=wordings))
    return [item for name in list(anchors)[: _ANCHORS[size]] for item in anchors[name]]


PLUGIN = Graded()
