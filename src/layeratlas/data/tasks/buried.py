"""Buried concepts: an item, relation or analogy followed by 100 words of neutral filler, read after the filler."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task
from layeratlas.data.tasks.analogies import PLUGIN as ANALOGIES
from layeratlas.data.tasks.items import PLUGIN as ITEMS
from layeratlas.data.tasks.relations import PLUGIN as RELATIONS

_PROPERTIES = {
    "quick": ("animal",),
    "standard": ("animal",),
    "full": ("edible", "animal", "manmade", "large"),
}
# Target groups per stratum. Quick: 30 pairs of items make 60 texts. Standard: about 160 texts of each level; full: all.
_GROUPS = {
    "item": {"quick": 30, "standard": 80, "full": 10_000},
    "relation": {"standard": 10, "full": 10_000},
    "analogy": {"standard": 20, "full": 10_000},
}
_ALL, _ROUNDS = 10_000, 22
Group = tuple[str, list[Item]]


class Buried(Task):
    """A target text and a full stop, followed by one of six fillers of 100 words with a common last sentence.

    The last token is thus the same in every text. At `quick` and `standard` all texts of a target group have the same
    filler, so fillers are balanced over the labels and the design of the targets is kept; a group of items is a
    matched pair of nouns, one with the property and one without. At `full` every target is crossed with every filler,
    and a group holds its texts under all fillers. `quick` has items alone: relations and analogies are harder to
    read, and sixty texts of each, a third of all tokens of a run, are few to decide about them.

    `*_by_filler` (`standard`, `full`) are texts of these data sets with one filler per target group, grouped by filler,
    so that the probe has seen neither the targets nor the filler of its test texts. They share their texts with the
    main data sets and need no extra forward pass. `spans["target"]` marks the target without its full stop.
    """

    summary = "an item, relation or analogy read after 100 words of filler; also with new fillers"
    levels = {
        "buried item": "buried item properties",
        "buried relation": "buried relations",
        "buried analogy": "buried analogies",
        "buried item by filler": "buried item properties under new fillers",
        "buried relation by filler": "buried relations under new fillers",
        "buried analogy by filler": "buried analogies under new fillers",
    }

    def build(self, size: Size) -> list[Dataset]:
        """Return `buried_<property>`, `buried_relations` and `buried_analogies`, then their `_by_filler` forms.

        At `quick` only the first.
        """
        fillers = [(row["filler"], row["text"]) for row in read_list("fillers")]
        main, by_filler = [], []
        for target in _targets(size):
            crossed: list[Item] = []
            single: list[Item] = []
            for group, members, turn in _turns(target, size, len(fillers)):
                for number, (name, filler) in enumerate(fillers):
                    if number == turn:
                        single += [_bury(item, filler, name) for item in members]
                    if number == turn or size == "full":
                        crossed += [_bury(item, filler, group) for item in members]
            name, level = f"buried_{target.name}", f"buried {target.level}"
            main.append(Dataset(name, level, tuple(crossed)))
            by_filler.append(Dataset(f"{name}_by_filler", f"{level} by filler", tuple(single)))
        return main if size == "quick" else main + by_filler


def _targets(size: Size) -> list[Dataset]:
    items = {data.name: data for data in ITEMS.build("full")}
    properties = [items[name] for name in _PROPERTIES[size]]
    return properties if size == "quick" else [*properties, RELATIONS.of(_ALL), ANALOGIES.of(_ROUNDS)]


def _turns(target: Dataset, size: Size, fillers: int) -> Iterator[tuple[str, list[Item], int]]:
    """Yield the target groups of a size, each with the number of its filler.

    Within a stratum, fillers are assigned in rounds, each filler once per round and in random order, so that fillers
    and targets are not confounded.
    """
    groups = _groups(target)
    for stratum in dict.fromkeys(items[0].stratum for _, items in groups):
        rng = random.Random(f"buried-{target.name}-{stratum}")
        chosen = [group for group in groups if group[1][0].stratum == stratum][: _GROUPS[target.level][size]]
        turns: list[int] = []
        for group, members in chosen:
            turns = turns or rng.sample(range(fillers), fillers)
            yield group, members, turns.pop()


def _groups(target: Dataset) -> list[Group]:
    """Return the target groups: for items the matched pairs, which follow each other, else the data set's groups."""
    items = target.items
    if target.level == "item":
        pairs = zip(items[::2], items[1::2], strict=True)
        return [(f"{first.group}-{second.group}", [first, second]) for first, second in pairs]
    return [(group, list(members)) for group, members in groupby(items, key=lambda item: item.group)]


def _bury(item: Item, filler: str, group: str) -> Item:
    text, span = f"{item.text}. {filler}", (0, len(item.text))
    wordings = tuple(f"{wording}. {filler}" for wording in item.wordings)
    return Item(text, item.label, group, item.stratum, {"target": span}, unit=item.text, wordings=wordings)


PLUGIN = Buried()
