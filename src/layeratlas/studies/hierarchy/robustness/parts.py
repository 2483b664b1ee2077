"""Parts of a data set: random whole groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset
from layeratlas.probes import bare_design


def part_of(data: Dataset, most: float, spec: ProbeSpec, seed: int) -> Dataset:
    """Return random whole groups with at most `most` texts in total, or the whole set if these cannot be probed."""
    try:
        part = first_texts(data, most, seed)
        bare_design(part, spec, seed)
    except DataError:
        return data
    return part if part.classes == data.classes else data


def first_texts(data: Dataset, most: float, seed: int) -> Dataset:
    """Return random whole groups of a data set with at most `most` texts in total."""
    return of_groups(data, random_groups(Counter(item.group for item in data.items), most, seed))


def random_groups(sizes: Mapping[str, int], most: float, seed: int) -> set[str]:
    """Return random groups of these sizes, at most `most` in total."""
    kept: set[str] = set()
    taken = 0
    for group in np.random.default_rng([seed, 59]).permutation(sorted(sizes)):
        if taken + sizes[group] <= most:
            kept.add(str(group))
            taken += sizes[group]
    return kept


def of_groups(data: Dataset, groups: Collection[str]) -> Dataset:
    """Return the texts of these groups. Raises DataError if too few are left."""
    return replace(data, items=tuple(item for item in data.items if item.group in groups))
