"""Control tasks: labels that are random, and the same wherever a word recurs (Hewitt and Liang 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold
from layeratlas.probes._folds import rows_by

# Control tasks per data set: each is a label column of fits that are made anyway.
CONTROL_TASKS = 20


def control_labels(data: Dataset, folds: Sequence[Fold], seed: int, tasks: int = CONTROL_TASKS) -> Floats:
    """Return the labels of random tasks (tasks, n): all texts of one word (`Dataset.words`) have the same label.

    A probe that learns which word it reads, and nothing else, solves a control task as far as words recur in train and
    test. Labels are dealt within the test part (of the first repeat) in which a word occurs most, so that every part
    has the classes in the same shares; labels dealt over all parts would make a class that is rare in training common
    in testing.
    """
    rng = np.random.default_rng([seed, 29])
    homes = _homes(data.words, folds)
    labels = np.empty((tasks, len(data.y)))
    for task in range(tasks):
        for words in homes:
            labels[task, np.concatenate(words)] = np.concatenate(_dealt(data, words, rng))
    return labels


def _homes(words: Ints, folds: Sequence[Fold]) -> list[list[Ints]]:
    """Return, for each test part, the rows of every word that occurs most often in it."""
    part = np.zeros(len(words), dtype=np.int64)
    tests = [fold.test for fold in folds if fold.repeat == 0]
    for number, test in enumerate(tests):
        part[test] = number
    homes: list[list[Ints]] = [[] for _ in tests]
    for rows in rows_by(words):
        homes[int(np.bincount(part[rows]).argmax())].append(rows)
    return [home for home in homes if home]


def _dealt(data: Dataset, words: list[Ints], rng: np.random.Generator) -> list[Floats]:
    """Return the labels of each word's rows, dealt from the labels of all these rows."""
    pool = data.y[np.concatenate(words)]
    if data.kind == "number":
        values = rng.choice(pool, len(words), replace=False)
        return [np.full(len(rows), value) for rows, value in zip(words, values, strict=True)]
    classes, quota = np.unique(pool, return_counts=True)
    remaining = quota.astype(float)
    dealt: list[Floats] = [np.zeros(0)] * len(words)
    order = rng.permutation(len(words))
    for at in sorted(order, key=lambda i: -len(words[i])):
        # Of classes with the same number of labels left, a random one.
        best = rng.choice(np.flatnonzero(remaining == remaining.max()))
        remaining[best] -= len(words[at])
        dealt[at] = np.full(len(words[at]), classes[best])
    return dealt
