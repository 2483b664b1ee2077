"""Labelled texts; shapes and contents are checked once, at construction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from string import punctuation
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.names import check_name

# The templates that reword texts without their own wordings, and the number of wordings of every text, including the
# one that a run reads.
_CARRIERS = ("Here is a text. {text}", "Someone wrote this: {text}")
WORDINGS = 1 + len(_CARRIERS)
# Bounds on the variance of numbers to predict: sums of their squares must be finite, and larger than rounding errors.
_SMALLEST, _LARGEST = 1e-290, 1e290


@dataclass(frozen=True, slots=True)
class Item:
    """One labelled text. Items of one `group` share material; groups are never split across folds.

    `label` is a class name, or a number if the task is a regression. `stratum` names a subset of the task that is also
    reported separately (`all`: none). `spans` maps a name to `(start, end)` in characters, for `position="span:NAME"`.
    Items of a group with the same `unit` are repeated measurements of the same target (such as a target with several
    fillers); label shuffles permute units, not the items within a unit. `wordings` are paraphrases, the same number for
    every item of a data set; they are empty for items that are reworded by a template.
    """

    text: str
    label: str | float
    group: str
    stratum: str = "all"
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    unit: str = ""
    wordings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """The items of one probing problem: `name` within a `level` (item, relation, analogy, ...).

    Raises DataError if nothing could be learnt or tested: no items, empty texts, fewer than two classes, fewer than two
    groups, a class in only one group, or labels that are not finite. `other_words` is the same problem in words
    of another origin (a second word list); None if there is none.
    """

    name: str
    level: str
    items: tuple[Item, ...]
    kind: Literal["classes", "number"] = "classes"
    source: str = ""
    dropped: tuple[Dropped, ...] = ()
    other_words: Dataset | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        where = self.source or f"task '{self.name}'"
        if not self.items:
            raise DataError(f"{where} has no items", "at least two labelled texts", "check the file or the task")
        for i, item in enumerate(self.items, 1):
            if not item.text.strip():
                raise DataError(f"{where}: item {i} has an empty text", "a text in every row", "fill or drop it")
        home: dict[str, str] = {}
        for i, item in enumerate(self.items, 1):
            if home.setdefault(item.text, item.group) != item.group:
                raise DataError(
                    f"{where}: the text of item {i} is in the groups '{home[item.text]}' and '{item.group}'",
                    "each text in one group, or a probe would be trained and tested on it",
                    "merge the groups or drop a copy",
                )
        groups = {item.group for item in self.items}
        if len(groups) < 2:
            raise DataError(
                f"{where}: one group ('{next(iter(groups))}') covers all {len(self.items)} items",
                "at least two groups, since groups are never split across train and test",
                "give each independent text a group of its own",
            )
        self._check_classes(where) if self.kind == "classes" else self._check_numbers(where)

    def _check_classes(self, where: str) -> None:
        groups_of: dict[str, set[str]] = {}
        for item in self.items:
            groups_of.setdefault(str(item.label), set()).add(item.group)
        if len(groups_of) < 2:
            raise DataError(f"{where} has one class ('{next(iter(groups_of))}')", "two classes or more", "add items")
        for label, groups in groups_of.items():
            if len(groups) < 2:
                raise DataError(
                    f"{where}: class '{label}' occurs in one group ('{next(iter(groups))}')",
                    "every class in at least two groups, so that it can be trained and tested",
                    "split the group or add items",
                )

    def _check_numbers(self, where: str) -> None:
        values = np.array([float(item.label) for item in self.items])
        if not np.isfinite(values).all():
            raise DataError(f"{where}: item {int(np.argmin(np.isfinite(values))) + 1} has a label that is not finite")
        if np.ptp(values) == 0:
            raise DataError(f"{where}: every label is {values[0]:g}", "numbers that differ", "check the column")
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            variance = np.var(values)
        if not _SMALLEST < variance < _LARGEST:
            problem = f"{where} has labels from {values.min():g} to {values.max():g}, too far to square"
            raise DataError(problem, "numbers of a size that can be squared", "give them in another unit")

    def __len__(self) -> int:
        return len(self.items)

    def identity(self) -> Any:
        """Return everything that determines a run's numbers, as JSON."""
        own = [self.name, self.kind, [[i.text, i.label, i.group, i.stratum, i.unit] for i in self.items]]
        return own if self.other_words is None else [*own, self.other_words.identity()]

    def without(self, rows: Collection[int], dropped: Sequence[Dropped]) -> Self:
        """Return the data set without the items with these 0-based numbers, which are recorded in `dropped`."""
        kept = tuple(item for number, item in enumerate(self.items) if number not in rows)
        return replace(self, items=kept, dropped=(*self.dropped, *dropped))

    def reworded(self, number: int) -> Dataset:
        """Return the data set with every text in wording `number`, 1 to WORDINGS - 1; labels and groups are kept."""
        texts = [
            item.wordings[number - 1] if item.wordings else _CARRIERS[number - 1].format(text=item.text)
            for item in self.items
        ]
        items = tuple(replace(item, text=text, spans={}) for item, text in zip(self.items, texts, strict=True))
        return replace(self, items=items)

    @property
    def texts(self) -> list[str]:
        """The texts, in item order."""
        return [item.text for item in self.items]

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group codes 0..G-1, shape (n,)."""
        return _codes([item.group for item in self.items])

    @property
    def units(self) -> NDArray[np.int64]:
        """Unit codes, shape (n,): items with equal group and unit share a code; without a unit each has its own."""
        return _codes([f"{item.group}\n{item.unit or i}" for i, item in enumerate(self.items)])

    @property
    def words(self) -> NDArray[np.int64]:
        """Word codes, shape (n,), to which a control task assigns random labels.

        The word is the last one of the text, at which `position="last"` reads. If all texts end in the same word, the
        unit is used instead.
        """
        last = [item.text.casefold().split()[-1].strip(punctuation) for item in self.items]
        return _codes(last) if len(set(last)) > 1 else self.units

    @property
    def strata(self) -> list[str]:
        """The stratum of each item."""
        return [item.stratum for item in self.items]

    @property
    def classes(self) -> list[str]:
        """The sorted class names; empty for numbers."""
        return sorted({str(item.label) for item in self.items}) if self.kind == "classes" else []

    @property
    def y(self) -> NDArray[np.float64]:
        """Class codes 0..k-1, or the numbers themselves; shape (n,)."""
        if self.kind == "number":
            return np.array([float(item.label) for item in self.items])
        return _codes([str(item.label) for item in self.items]).astype(float)


def _codes(names: list[str]) -> NDArray[np.int64]:
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.int64)
