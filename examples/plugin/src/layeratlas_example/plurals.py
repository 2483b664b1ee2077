"""A task: is a noun in the plural?"""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.task import Task

_NOUNS = ("river", "stone", "cloud", "field", "window", "paper", "apple", "horse", "table", "garden", "letter", "road")
_CARRIERS = {"quick": ("The {}",), "standard": ("The {}", "Some old {}"), "full": ("The {}", "Some old {}", "Her {}")}


class Plurals(Task):
    """Nouns in the singular and the plural. Both forms of a noun are a group: never split across train and test."""

    summary = "is the noun in the plural? 'The rivers'"
    levels = {"number of nouns": "grammatical numbers of nouns"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set; a smaller size is a part of a larger one."""
        items = [
            Item(carrier.format(noun + ending), label, group=noun)
            for carrier in _CARRIERS[size]
            for noun in _NOUNS
            for ending, label in (("", "singular"), ("s", "plural"))
        ]
        return [Dataset("plurals", "number of nouns", tuple(items))]


PLUGIN = Plurals()
