"""Control tasks: random labels, one per word type (Hewitt and Liang 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold
from layeratlas.probes._folds import rows_by

# Control tasks per data set; each adds only a label column to existing fits.
CONTROL_TASKS = 20


def control_labels(data: Dataset, folds: Sequence[Fold], seed: int, tasks: int = CONTROL_TASKS) -> Floats:
    """Return the labels of random tasks (tasks, n): all texts of one word (`Dataset.words`) have the same label.

    A probe that learns nothing but the identity of words solves a control task as far as words recur in train and test.
    Each word's label is assigned within the test set (of the first repeat) in which the word is most frequent, so that
    every test set has the same class shares. Labels assigned over all test sets would make a class that is rare in
    training frequent in testing.
    """
    rng = np.random.default_rng([seed, 29])
    homes = _homes(data.words, folds)
    labels = np.empty((tasks, len(data.y)))
    for task in range(tasks):
        for words in homes:
            labels[task, np.concatenate(words)] = np.concatenate(_dealt(data, words, rng))
    return labels


def _homes(words: Ints, folds: Sequence[Fold]) -> list[list[Ints]]:
    """Return, for each test set, the rows of every word that is most frequent in that test set."""
    part = np.zeros(len(words), dtype=np.int64)
    tests = [fold.test for fold in folds if fold.repeat == 0]
    for number, test in enumerate(tests):
        part[test] = number
    homes: list[list[Ints]] = [[] for _ in tests]
    for rows in rows_by(words):
        homes[int(np.bincount(part[rows]).argmax())].append(rows)
    return [home for home in homes if home]


def _dealt(data: Dataset, words: list[Ints], rng: np.random.Generator) -> list[Floats]:
    """Return one label per word for its rows, drawn from the labels of all these rows."""
    pool = data.y[np.concatenate(words)]
    if data.kind == "number":
        values = rng.choice(pool, len(words), replace=False)
        return [np.full(len(rows), value) for rows, value in zip(words, values, strict=True)]
    classes, quota = np.unique(pool, return_counts=True)
    remaining = quota.astype(float)
    dealt: list[Floats] = [np.zeros(0)] * len(words)
    order = rng.permutation(len(words))
    for at in sorted(order, key=lambda i: -len(words[i])):
        # Break ties at random between classes with equally many labels left.
        best = rng.choice(np.flatnonzero(remaining == remaining.max()))
        remaining[best] -= len(words[at])
        dealt[at] = np.full(len(words[at]), classes[best])
    return dealt
