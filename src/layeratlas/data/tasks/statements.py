"""True and false statements of five kinds: "The capital of Peru is Lima." against "The capital of Peru is Tunis."."""

from __future__ import annotations

from collections import defaultdict

from layeratlas.core.spec import Size
from layeratlas.data.items import Dataset, Item
from layeratlas.data.lists import read_list
from layeratlas.data.task import Task

_BLOCKS = {"quick": 6, "standard": 8, "full": 1000}
_KINDS = {
    "true_capitals": "capital",
    "true_countries": "country",
    "true_authors": "author",
    "true_languages": "language",
    "true_symbols": "symbol",
}


class Statements(Task):
    """Statements built from the facts of five relations, one data set each, all with the labels `true` and `false`.

    The four facts of a block share their objects: each subject and each object occurs in one true and one false
    statement, so no word alone predicts the label. The block is the group. The sets are meant for transfer: a direction
    of truth should transfer between them, a direction of a single relation should not.
    """

    summary = "is the statement true? 'The capital of Peru is Lima.'; five relations, to see what carries over"
    levels = {"statement": "truth values of statements"}

    def build(self, size: Size) -> list[Dataset]:
        """Return one data set per relation; smaller sizes take its first blocks."""
        pattern = {row["relation"]: row["pattern"] for row in read_list("fact_relations")}
        blocks: dict[tuple[str, int], list[tuple[str, str]]] = defaultdict(list)
        for row in read_list("facts"):
            blocks[row["relation"], int(row["block"])].append((row["subject"], row["object"]))
        sets = []
        for name, relation in _KINDS.items():
            own = sorted(number for found, number in blocks if found == relation)[: _BLOCKS[size]]
            items: list[Item] = []
            for number in own:
                facts = blocks[relation, number]
                for i, (subject, truth) in enumerate(facts):
                    for label, thing in (("true", truth), ("false", facts[(i + 1) % len(facts)][1])):
                        text = f"{pattern[relation].format(subject=subject)} {thing}."
                        items.append(Item(text, label, f"{relation}-{number:02d}"))
            sets.append(Dataset(name, "statement", tuple(items)))
        return sets


PLUGIN = Statements()
