"""A data set whose vectors need not fit into memory: its sample, and the labels of all its other texts.

Under a label shuffle or a control task the other texts need labels too, since they train the probe. Hundreds of labels
per text would not fit into memory, so they are computed where they are needed, from random hash functions whose values
are pairwise independent (Carter and Wegman 1979).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.data.items import Dataset
from layeratlas.probes._dual import label_columns
from layeratlas.probes._folds import balanced_alike
from layeratlas.probes._sweep import Design

# Codes and keys are below this prime, so that their products fit into 64 bits.
_PRIME = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class LargeSet:
    """The labels of n texts whose vectors need not fit into memory, and the `sample` of them that does.

    y: (n,) class codes, or numbers. sample: row numbers, ascending, of the texts that are kept in memory and tested.
    Texts of a group of the sample that are not in the sample are not used: they would tell what is tested.
    groups, units and words: codes (n,), at least 0, as those of a `Dataset`; by default every text has a unit and a
    word of its own.
    """

    y: Floats
    groups: Ints
    sample: Ints
    units: Ints | None = None
    words: Ints | None = None
    seed: int = 0

    @cached_property
    def others(self) -> Ints:
        """The texts that train the probe in every fold, as row numbers: those of groups without a tested text."""
        tested = np.zeros(int(self.groups.max(initial=-1)) + 1, dtype=bool)
        tested[self.groups[self.sample]] = True
        return np.flatnonzero(~tested[self.groups])

    @property
    def used(self) -> int:
        """How many texts are tested or train."""
        return len(self.sample) + len(self.others)

    @classmethod
    def of(cls, data: Dataset, sample: Ints, seed: int) -> Self:
        """Return the labels of a data set."""
        return cls(y=data.y, groups=data.groups, sample=sample, units=data.units, words=data.words, seed=seed)


class OtherLabels:
    """The labels of the texts outside the sample: the true ones, under each shuffle, and of each control task.

    Under a shuffle, every group takes the labels of the group of a random text, drawn with replacement, turned round by
    a random number of units. If all groups have the same labels in the same shares, a group keeps its labels, and they
    are only turned round. In a control task, a word of the sample keeps its label there; other words have labels drawn
    from the sample.
    """

    def __init__(self, texts: LargeSet, design: Design) -> None:
        self._texts, self._design, self._classes = texts, design, design.classes
        self._number_units(texts.others)
        rng = np.random.default_rng([texts.seed, 37])
        shuffles, tasks = len(design.shuffled), len(design.control_tasks)
        self._donors, self._turns = (rng.integers(1, _PRIME, (2, shuffles)) for _ in range(2))
        self._tasks = rng.integers(1, _PRIME, (2, tasks))
        self._words = np.arange(len(texts.y)) if texts.words is None else texts.words
        self._known = np.full(int(self._words.max(initial=-1)) + 1, -1)
        self._known[self._words[texts.sample]] = np.arange(len(texts.sample))

    def _number_units(self, rows: Ints) -> None:
        """Number the units of some rows, those of a group one after the other."""
        y, units = self._texts.y, self._texts.units
        groups = np.unique(self._texts.groups[rows], return_inverse=True)[1]
        order = np.lexsort((rows if units is None else units[rows], groups))
        codes = np.stack([groups[order], (rows if units is None else units[rows])[order]])
        first = np.diff(codes, axis=1, prepend=-1).any(0)
        self._label = y[rows[order[first]]]
        self._count = np.bincount(groups[order[first]])
        self._start = np.cumsum(self._count) - self._count
        self._group, self._place = (np.full(len(y), -1, dtype=np.int32) for _ in range(2))
        self._group[rows] = groups
        self._place[rows[order]] = np.cumsum(first) - 1 - self._start[groups[order]]
        # In random order: the hashes of neighbouring groups are at equal distances.
        self._by_text = np.random.default_rng([self._texts.seed, 41]).permutation(groups).astype(np.int64)
        self._within = bool(len(rows)) and balanced_alike(groups, y[rows])

    def columns(self, rows: Ints) -> Floats:
        """Return the label columns of some of the other texts, (m, c), in the order of `OutOfFold.add`."""
        y = np.concatenate([self._texts.y[rows, None], self._shuffled(rows), self._control(rows)], axis=1)
        columns = label_columns(y, self._classes)
        return columns.reshape(len(rows), columns.shape[1] * columns.shape[2])

    def _shuffled(self, rows: Ints) -> Floats:
        group = self._group[rows, None].astype(np.int64)
        donor = group + 0 * self._donors[0] if self._within else self._drawn(group)
        turned = (self._place[rows, None] + _hashed(donor, self._turns)) % self._count[donor]
        labels: Floats = self._label[self._start[donor] + turned]
        return labels

    def _drawn(self, group: Ints) -> Ints:
        """Return for each group (m, 1) and shuffle the group of a random text, so that classes keep their shares."""
        drawn: Ints = self._by_text[_hashed(group, self._donors) % len(self._by_text)]
        return drawn

    def _control(self, rows: Ints) -> Floats:
        tasks = self._design.control_tasks
        if not tasks.size:
            return np.zeros((len(rows), 0))
        sampled, words = self._texts.y[self._texts.sample], self._words[rows]
        drawn = sampled[_hashed(words[:, None], self._tasks) % len(sampled)]
        known = self._known[words]
        kept: Floats = np.where(known[:, None] >= 0, tasks[:, known].T, drawn)
        return kept


def _hashed(codes: Ints, keys: Ints) -> Ints:
    """Return codes (m, 1) or (m, c) under c hash functions with the keys (2, c)."""
    hashed: Ints = (codes * keys[0] + keys[1]) % _PRIME
    return hashed
