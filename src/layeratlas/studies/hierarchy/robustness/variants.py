"""Variants of a data set that should not change the depth at which it decodes: wordings, lists, folds and seeds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum

from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import WORDINGS, Dataset
from layeratlas.probes import Design, bare_design
from layeratlas.studies.hierarchy.robustness.lists import two_lists
from layeratlas.studies.hierarchy.robustness.parts import part_of

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

    Wordings use the run's own design on other vectors. The two word lists have equally many texts of each stratum and
    class. They are left out if there is no second list, or if one of them cannot be probed. Partitions with a fold that
    lacks a class are left out too.
    """
    own = own_design(data, most, spec, seed)
    part = own.data
    designs = {AS_RUN: own} | {wording(number): own for number in range(1, WORDINGS)}
    if data.other_words is not None:
        with contextlib.suppress(DataError):
            lists = two_lists(data, data.other_words, most, seed)
            first, second = (bare_design(words, spec, seed) for words in lists)
            designs |= {FIRST_LIST: first, SECOND_LIST: second} if _same_classes(data, data.other_words, *lists) else {}
    for number in range(1, FOLD_SEEDS + 1):
        with contextlib.suppress(DataError):
            other = bare_design(part, spec, seed + SEED_STEP * number)
            designs[Variant(source=Source.FOLDS, name=str(number + 1))] = other
    return designs


def own_design(data: Dataset, most: float, spec: ProbeSpec, seed: int) -> Design:
    """Return the design of the run's own folds and of every wording: at most `most` texts, and no controls."""
    return bare_design(part_of(data, most, spec, seed), spec, seed)


def _same_classes(data: Dataset, *others: Dataset) -> bool:
    return all(other.classes == data.classes for other in others)
