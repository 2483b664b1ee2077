"""Variants of a data set that should not change the depth at which it decodes: wordings, words, folds and seeds."""

from __future__ import annotations

import contextlib
import zlib
from collections import Counter
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
_LISTS = ("A", "B")


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


def wording(number: int) -> Variant:
    """Return the variant in another wording."""
    return Variant(source=Source.WORDING, name=str(number + 1))


def probed_variants(data: Dataset, spec: ProbeSpec, seed: int) -> dict[Variant, Design]:
    """Return the design of every probed variant; wordings use the run's own design on other vectors.

    Word lists are left out if one of them is too small for the folds. Partitions with a fold that lacks a class are
    left out too.
    """
    own = without_controls(make_design(data, spec, seed))
    designs = {AS_RUN: own} | {wording(number): own for number in range(1, WORDINGS)}
    with contextlib.suppress(DataError):
        lists = [without_controls(make_design(half_of(data, side), spec, seed)) for side in (0, 1)]
        if all(design.data.classes == data.classes for design in lists):
            designs |= {
                Variant(source=Source.WORD_LIST, name=name): design for name, design in zip(_LISTS, lists, strict=True)
            }
    for number in range(1, FOLD_SEEDS + 1):
        with contextlib.suppress(DataError):
            other = make_design(data, spec, seed + SEED_STEP * number)
            designs[Variant(source=Source.FOLDS, name=str(number + 1))] = without_controls(other)
    return designs


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


def half_of(data: Dataset, side: int) -> Dataset:
    """Return one of two disjoint halves of a data set, split by groups (two lists of words).

    A group is in the same half in every data set. Raises DataError if a half has too few groups or classes.
    """
    return replace(data, items=tuple(item for item in data.items if list_of(item.group) == side))


def list_of(group: str) -> int:
    """Return the half of a group, 0 or 1."""
    return zlib.crc32(group.encode()) % 2
