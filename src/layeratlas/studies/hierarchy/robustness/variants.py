"""Variants of a data set that should not change the depth at which it decodes: wordings, lists, folds and seeds."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import WORDINGS, Dataset
from layeratlas.probes import Design, make_design, without_controls

# The numbers of other partitions into folds and of other bootstrap seeds, and the step between their seeds.
FOLD_SEEDS = BOOTSTRAP_SEEDS = 2
SEED_STEP = 1000


class Source(StrEnum):
    """The source of variation that a variant represents."""

    AS_RUN = "as run"
    WORDING = "wording"
    WORD_LIST = "word list"
    FOLDS = "folds"
    SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant: its source, and its name within this source."""

    source: Source
    name: str = ""

    @property
    def file(self) -> str:
        """The part of a file name that identifies the variant."""
        return f"{self.source.replace(' ', '-')}{self.name}"


AS_RUN = Variant(source=Source.AS_RUN)
# The data sets of which there is a second word list, as run, and those of the second list.
FIRST_LIST, SECOND_LIST = (Variant(source=Source.WORD_LIST, name=name) for name in "12")


def wording(number: int) -> Variant:
    """Return the variant in another wording."""
    return Variant(source=Source.WORDING, name=str(number + 1))


def probed_variants(data: Dataset, most: float, spec: ProbeSpec, seed: int) -> dict[Variant, Design]:
    """Return the design of every probed variant, of at most `most` texts each (whole groups).

    Wordings use the run's own design on other vectors. The two word lists have the same strata. They are left out if
    there is no second list, or if one of them cannot be probed. Partitions with a fold that lacks a class are left out
    too.
    """
    own = own_design(data, most, spec, seed)
    part = own.data
    designs = {AS_RUN: own} | {wording(number): own for number in range(1, WORDINGS)}
    if data.other_words is not None:
        with contextlib.suppress(DataError):
            lists = [part_of(words, most, spec, seed) for words in two_lists(data, data.other_words)]
            first, second = (without_controls(make_design(words, spec, seed)) for words in lists)
            designs |= {FIRST_LIST: first, SECOND_LIST: second} if _same_classes(data, *lists) else {}
    for number in range(1, FOLD_SEEDS + 1):
        with contextlib.suppress(DataError):
            other = make_design(part, spec, seed + SEED_STEP * number)
            designs[Variant(source=Source.FOLDS, name=str(number + 1))] = without_controls(other)
    return designs


def own_design(data: Dataset, most: float, spec: ProbeSpec, seed: int) -> Design:
    """Return the design of the run's own folds and of every wording: at most `most` texts, and no controls."""
    return without_controls(make_design(part_of(data, most, spec, seed), spec, seed))


def two_lists(first: Dataset, second: Dataset) -> tuple[Dataset, Dataset]:
    """Return the groups of two word lists whose strata are in both.

    Raises DataError if too few are left of one of them.
    """
    shared = set(first.strata) & set(second.strata)
    return _within(first, shared), _within(second, shared)


def _within(data: Dataset, strata: Collection[str]) -> Dataset:
    outside = {item.group for item in data.items if item.stratum not in strata}
    return replace(data, items=tuple(item for item in data.items if item.group not in outside))


def _same_classes(data: Dataset, *others: Dataset) -> bool:
    return all(other.classes == data.classes for other in others)


def part_of(data: Dataset, most: float, spec: ProbeSpec, seed: int) -> Dataset:
    """Return random whole groups with at most `most` texts in total, or the whole set if these cannot be probed."""
    try:
        part = first_texts(data, most, seed)
        make_design(part, spec, seed)
    except DataError:
        return data
    return part if part.classes == data.classes else data


def first_texts(data: Dataset, most: float, seed: int) -> Dataset:
    """Return random whole groups of a data set with at most `most` texts in total."""
    sizes = Counter(item.group for item in data.items)
    kept: set[str] = set()
    taken = 0
    for group in np.random.default_rng([seed, 59]).permutation(sorted(sizes)):
        if taken + sizes[group] <= most:
            kept.add(group)
            taken += sizes[group]
    return replace(data, items=tuple(item for item in data.items if item.group in kept))
