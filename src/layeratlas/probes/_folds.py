"""Splits that keep groups whole, and label shuffles that keep the design."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import DataError
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold


def make_folds(data: Dataset, folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return `repeats` partitions of the items into at most `folds` parts; a group is never in two parts.

    Classes, or the tenths of a number's range of ranks, are spread evenly over the parts (scikit-learn's
    StratifiedGroupKFold). Fewer groups than twice the folds are left out one by one, which there is one way to do.
    Raises DataError where a training part would lack a class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    groups, y = data.groups, data.y
    n_groups = int(groups.max()) + 1
    k = n_groups if n_groups < 2 * folds else folds
    if data.kind == "classes":
        k = min(k, *(len(np.unique(groups[y == c])) for c in np.unique(y)))
    # Numbers are spread by quantile: a part with high numbers leaves a low training mean, and the two together
    # would push a worthless probe below chance.
    strata = y if data.kind == "classes" else _quantiles(y, max(1, min(10, len(y) // (2 * k))))
    out = []
    for repeat in range(1 if k == n_groups else repeats):
        cut = StratifiedGroupKFold(k, shuffle=True, random_state=seed + repeat)
        for train, test in cut.split(np.zeros(len(y)), strata, groups):
            if data.kind == "classes" and len(np.unique(y[train])) < len(data.classes):
                raise DataError(
                    f"{data.source or data.name}: a training fold lacks a class",
                    "every class in several groups",
                    "use smaller groups, more items or fewer --folds",
                )
            out.append(Fold(repeat, train.astype(np.int64), test.astype(np.int64)))
    return out


def _quantiles(y: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    return np.argsort(np.argsort(y, kind="stable"), kind="stable") * parts // len(y)


def label_shuffles(data: Dataset, folds: Sequence[Fold], shuffles: int, seed: int) -> NDArray[np.int64]:
    """Return row orders, shape (shuffles, n): under shuffle s, item i gets the label of item out[s, i].

    Where every group holds the same labels in the same shares, labels move within their group, between its units
    (readings of one thing would otherwise be told apart, and the control would look steadier than it is); elsewhere
    whole groups exchange labels within their test part of the first repeat. Either way every part keeps its balance of
    classes: labels shuffled across parts would make a class that is rare in training common in testing, and the
    control would fall below chance.
    """
    rng = np.random.default_rng([seed, 7])
    groups, y = data.groups, data.y
    members = [np.flatnonzero(groups == g) for g in range(groups.max() + 1)]
    if _alike([y[rows] for rows in members]):
        of = data.units
        units = [[rows[of[rows] == u] for u in np.unique(of[rows])] for rows in members]
        return np.stack([_within(units, len(y), rng) for _ in range(shuffles)])
    parts = [np.unique(groups[fold.test]) for fold in folds if fold.repeat == 0]
    return np.stack([_between(members, parts, len(y), rng) for _ in range(shuffles)])


def _alike(labels: list[NDArray[np.float64]]) -> bool:
    """Return whether all groups hold the same labels in the same shares, so that a group says nothing of its labels."""
    shares = [np.unique(part, return_counts=True) for part in labels]
    first = shares[0][0], shares[0][1] / len(labels[0])
    return all(
        np.array_equal(names, first[0]) and np.allclose(counts / counts.sum(), first[1]) for names, counts in shares
    )


def _within(units: list[list[NDArray[np.int64]]], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    order = np.arange(n)
    for group in units:
        for taker, donor in enumerate(rng.permutation(len(group))):
            order[group[taker]] = _filled(group[donor], len(group[taker]))
    return order


def _between(
    members: list[NDArray[np.int64]], parts: list[NDArray[np.int64]], n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    order = np.empty(n, dtype=np.int64)
    for part in parts:
        for taker, donor in zip(part, rng.permutation(part), strict=True):
            order[members[taker]] = _filled(rng.permutation(members[donor]), len(members[taker]))
    return order


def _filled(rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Return rows repeated or cut to a length; most are as long already."""
    return rows if len(rows) == length else np.resize(rows, length)
