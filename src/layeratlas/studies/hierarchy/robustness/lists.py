"""Two word lists of one problem, made comparable: the same strata and classes, and equally many texts of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from layeratlas.data.items import Dataset
from layeratlas.studies.hierarchy.robustness.parts import of_groups, random_groups

# The strata and classes of a group.
_Kind = tuple[tuple[str, str], ...]


def two_lists(first: Dataset, second: Dataset, most: float, seed: int) -> tuple[Dataset, Dataset]:
    """Return random whole groups of two word lists: equally many texts of each stratum and class, at most `most` each.

    Fewer texts, or classes of less equal size, alone move emergence deeper. Groups are matched with those of the same
    strata and classes; what has no match is left out. Raises DataError if too little is left.
    """
    kinds = [_sizes_by_kind(data) for data in (first, second)]
    shared = sorted(kinds[0].keys() & kinds[1].keys())
    room = {kind: min(sum(of[kind].values()) for of in kinds) for kind in shared}
    share = min(1.0, most / max(sum(room.values()), 1))
    matched = [_matched(kinds[0][kind], kinds[1][kind], share * room[kind], seed) for kind in shared]
    one, other = (of_groups(data, {g for pair in matched for g in pair[n]}) for n, data in enumerate((first, second)))
    return one, other


def _sizes_by_kind(data: Dataset) -> dict[_Kind, dict[str, int]]:
    """Return the texts per group of every kind of group; a kind is the strata and classes of a group."""
    held: dict[str, set[tuple[str, str]]] = {}
    for item in data.items:
        held.setdefault(item.group, set()).add((item.stratum, str(item.label) if data.kind == "classes" else ""))
    sizes = Counter(item.group for item in data.items)
    found: dict[_Kind, dict[str, int]] = {}
    for group, kind in held.items():
        found.setdefault(tuple(sorted(kind)), {})[group] = sizes[group]
    return found


def _matched(first: Mapping[str, int], second: Mapping[str, int], most: float, seed: int) -> tuple[set[str], set[str]]:
    """Return groups of two mappings to their sizes with the same total, at most `most`."""
    sums = [sum(first.values()), sum(second.values())]
    while sums[0] != sums[1] or sums[0] > most:
        most = min(most, *sums)
        first, second = ({group: of[group] for group in random_groups(of, most, seed)} for of in (first, second))
        sums = [sum(first.values()), sum(second.values())]
    return set(first), set(second)
