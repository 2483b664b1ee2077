"""Properties of single nouns: "An apple" is edible, not an animal, not man-made, smaller than a person."""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task

_PAIRS = {"quick": 64, "standard": 200, "full": 1000}


class Items(Task):
    """Four yes/no properties of nouns: edible, animal, man-made, larger than a person.

    Each property is measured on pairs of a noun with it and one without it, matched on frequency, length and token
    count (`tools/match_items.py`). The group is the noun.
    """

    summary = "what is the thing? 'An apple'; edible, animal, manmade, large"
    levels = {"item": "item properties"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set per property."""
        article = {row["noun"]: row["article"] for row in read_list("items")}
        by_property: dict[str, list[Item]] = {}
        for row in read_list("items_matched"):
            items = by_property.setdefault(row["property"], [])
            if len(items) < 2 * _PAIRS[size]:
                for noun, label in ((row["positive"], row["property"]), (row["negative"], f"not {row['property']}")):
                    thing = f"{article[noun].lower()} {noun}"
                    wordings = (f"This is {thing}", f"I was thinking of {thing}")
                    items.append(Item(f"{article[noun]} {noun}", label, noun, wordings=wordings))
        return [Dataset(name, "item", tuple(items)) for name, items in by_property.items()]


PLUGIN = Items()
