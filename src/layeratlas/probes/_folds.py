"""Splits that keep groups whole, and label shuffles that keep the design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from layeratlas.contracts import Fold
from layeratlas.errors import DataError
from layeratlas.records import Dataset


def make_folds(data: Dataset, folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return `repeats` partitions of the items into at most `folds` parts; a group is never in two parts.

    Classes are spread evenly over the parts (scikit-learn's StratifiedGroupKFold). Raises DataError where a
    training part would lack a class.
    """
    groups, y = data.groups, data.y
    k = min(folds, int(groups.max()) + 1)
    if data.kind == "classes":
        k = min(k, *(len(np.unique(groups[y == c])) for c in np.unique(y)))
    splitter = StratifiedGroupKFold if data.kind == "classes" else GroupKFold
    out = []
    for repeat in range(repeats):
        cut = splitter(k, shuffle=True, random_state=seed + repeat)
        for train, test in cut.split(np.zeros(len(y)), y, groups):
            if data.kind == "classes" and len(np.unique(y[train])) < len(data.classes):
                raise DataError(
                    f"{data.source or data.name}: a training fold lacks a class",
                    "every class in several groups",
                    "use smaller groups, more items or fewer --folds",
                )
            out.append(Fold(repeat, train.astype(np.int64), test.astype(np.int64)))
    return out


def label_shuffles(data: Dataset, folds: Sequence[Fold], shuffles: int, seed: int) -> NDArray[np.int64]:
    """Return row orders, shape (shuffles, n): under shuffle s, item i gets the label of item out[s, i].

    Where groups hold several labels, labels move within their group; where every group holds one label, whole
    groups exchange labels within their test part of the first repeat. Either way every part keeps its balance of
    classes: labels shuffled across parts would make a class that is rare in training common in testing, and the
    control would fall below chance.
    """
    rng = np.random.default_rng([seed, 7])
    groups, y = data.groups, data.y
    members = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    if any(len(np.unique(y[rows])) > 1 for rows in members):
        return np.stack([_within(members, len(y), rng) for _ in range(shuffles)])
    parts = [np.unique(groups[fold.test]) for fold in folds if fold.repeat == 0]
    return np.stack([_between(members, parts, len(y), rng) for _ in range(shuffles)])


def _within(members: list[NDArray[np.int64]], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    order = np.arange(n)
    for rows in members:
        order[rows] = rng.permutation(rows)
    return order


def _between(
    members: list[NDArray[np.int64]], parts: list[NDArray[np.int64]], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    order = np.empty(n, dtype=np.int64)
    for part in parts:
        for taker, donor in zip(part, rng.permutation(part), strict=True):
            order[members[taker]] = members[donor][0]
    return order
