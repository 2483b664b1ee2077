"""Folds that keep groups whole, and label shuffles that keep the design of the data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.errors import DataError
from layeratlas.data.items import Dataset
from layeratlas.probes._contract import Fold


def make_folds(data: Dataset, folds: int, repeats: int, seed: int) -> list[Fold]:
    """Return `repeats` partitions of the items into at most `folds` test sets; groups are never split.

    scikit-learn's StratifiedGroupKFold balances classes (or, for numbers, quantiles) over the test sets. With fewer
    groups than twice the folds, each group is left out once, in a single repeat. Raises DataError if a training set
    would lack a class.
    """
    parts, repeatable = _parts(data, folds)
    return [fold for repeat in range(repeats if repeatable else 1) for fold in _partition(data, parts, repeat, seed)]


def second_folds(data: Dataset, folds: int, seed: int) -> list[Fold]:
    """Return the folds of the second repeat of `make_folds`; none where each group is left out once."""
    parts, repeatable = _parts(data, folds)
    return _partition(data, parts, 1, seed) if repeatable else []


def _parts(data: Dataset, folds: int) -> tuple[int, bool]:
    """Return the number of test sets, and whether there is more than one way to make them."""
    n_groups = int(data.groups.max()) + 1
    parts = n_groups if n_groups < 2 * folds else folds
    if data.kind == "classes":
        parts = min(parts, *(len(np.unique(data.groups[data.y == c])) for c in np.unique(data.y)))
    return parts, parts < n_groups


def _partition(data: Dataset, parts: int, repeat: int, seed: int) -> list[Fold]:
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed + repeat)
    splits = []
    for train, test in splitter.split(np.zeros(len(data.y)), _strata(data, parts), data.groups):
        _check_classes(data, train)
        splits.append(Fold(repeat=repeat, train=train.astype(np.int64), test=test.astype(np.int64)))
    return splits


def _strata(data: Dataset, parts: int) -> Floats | Ints:
    """Return the strata to balance over the test sets: the classes, or up to ten quantiles of numbers.

    A test set of high numbers leaves a low training mean; together they would push a useless probe below chance.
    """
    if data.kind == "classes":
        return data.y
    return _quantiles(data.y, max(1, min(10, len(data.y) // (2 * parts))))


def _quantiles(y: Floats, parts: int) -> Ints:
    return np.argsort(np.argsort(y, kind="stable"), kind="stable") * parts // len(y)


def _check_classes(data: Dataset, train: Ints) -> None:
    if data.kind == "classes" and len(np.unique(data.y[train])) < len(data.classes):
        raise DataError(
            f"{data.source or data.name}: a training fold lacks a class",
            "every class in several groups",
            "use smaller groups, more items or fewer --folds",
        )


def label_shuffles(data: Dataset, folds: Sequence[Fold], shuffles: int, seed: int) -> Ints:
    """Return row orders (shuffles, n): under shuffle s, item i gets the label of item `orders[s, i]`.

    If every group has the same labels in the same shares, labels are exchanged within groups, between units. All
    readings of a unit keep one label, since treating them as separate texts would make the control too narrow.
    Otherwise whole groups exchange labels within their test set of the first repeat. Either way every test set keeps
    its class balance: labels shuffled across test sets would make a class that is rare in training frequent in testing,
    and the control would fall below chance. Where groups differ in size, a class keeps its number of texts up to the
    size of a group, instead of its number of groups: a class of many small groups would otherwise become the most
    frequent one, and the control would rise above chance.
    """
    rng = np.random.default_rng([seed, 7])
    groups, y = data.groups, data.y
    members = rows_by(groups)
    if balanced_alike(groups, y):
        units = [[rows[data.units[rows] == unit] for unit in np.unique(data.units[rows])] for rows in members]
        return np.stack([_within_groups(units, len(y), rng) for _ in range(shuffles)])
    parts = [np.unique(groups[fold.test]) for fold in folds if fold.repeat == 0]
    return np.stack([_between_groups(members, parts, y, rng) for _ in range(shuffles)])


def rows_by(codes: Ints) -> list[Ints]:
    """Return the rows (ascending) of each code from 0 to the largest."""
    return np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])


def balanced_alike(groups: Ints, y: Floats) -> bool:
    """Return whether all groups have the same labels in the same shares, so that a group does not predict a label."""
    labels, codes = np.unique(y, return_inverse=True)
    sizes = np.bincount(groups)
    if len(labels) > sizes.min():
        return False
    counts = np.bincount(groups * len(labels) + codes, minlength=len(sizes) * len(labels)).reshape(len(sizes), -1)
    shares = counts / sizes[:, None]
    return bool(np.allclose(shares, shares[0]))


def _within_groups(units: list[list[Ints]], n: int, rng: np.random.Generator) -> Ints:
    order = np.arange(n)
    for group in units:
        for taker, donor in enumerate(rng.permutation(len(group))):
            order[group[taker]] = _resized(group[donor], len(group[taker]))
    return order


def _between_groups(members: list[Ints], folds: list[Ints], y: Floats | Ints, rng: np.random.Generator) -> Ints:
    order = np.empty(len(y), dtype=np.int64)
    for fold in folds:
        alike = len({len(members[group]) for group in fold}) == 1
        takers, donors = (fold, rng.permutation(fold)) if alike else _lined_up(fold, members, y, rng)
        for taker, donor in zip(takers, donors, strict=True):
            order[members[taker]] = _resized(rng.permutation(members[donor]), len(members[taker]))
    return order


def _lined_up(
    groups: Ints, members: list[Ints], y: Floats | Ints, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return groups in random order, and the group whose labels each takes.

    Text by text, the groups in random order are laid beside the same groups in the order of their labels, and each
    takes from the one beside its middle. Groups of one size take from one group each.
    """
    takers, donors = rng.permutation(groups), rng.permutation(groups)
    donors = donors[np.argsort([y[members[group]].mean() for group in donors], kind="stable")]
    sizes = np.array([len(members[group]) for group in takers])
    ends = np.cumsum([len(members[group]) for group in donors])
    beside = np.searchsorted(ends, np.cumsum(sizes) - sizes / 2, side="right")
    return takers.tolist(), donors[beside].tolist()


def _resized(rows: Ints, length: int) -> Ints:
    """Return rows repeated or truncated to a length; most already have that length."""
    return rows if len(rows) == length else np.resize(rows, length)
