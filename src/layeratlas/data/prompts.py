"""Prompts whose next word depends on a label: labelled texts, and the answer of each class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.items import Dataset, Item


@dataclass(frozen=True, slots=True)
class Prompt:
    """One text to continue; `label` is its class, `answers` has a continuation for each of the set's sorted classes."""

    text: str
    label: str
    group: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class PromptSet:
    """The prompts of one task: `name` within a `level`.

    The right answer is that of the prompt's own class, so a model needs the class to answer. Raises DataError like
    `Dataset`, and also if a prompt does not have a different answer for each class.
    """

    name: str
    level: str
    items: tuple[Prompt, ...]
    source: str = ""
    dropped: tuple[Dropped, ...] = ()

    def __post_init__(self) -> None:
        classes = len(self.dataset.classes)
        for number, item in enumerate(self.items, 1):
            if len(set(item.answers)) != classes:
                raise DataError(
                    f"{self.source or self.name}, prompt {number}: the answers {list(item.answers)}",
                    f"{classes} different ones, one per class",
                )

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Return the prompts of labelled texts whose labels are their continuations; raises DataError for numbers."""
        if data.kind != "classes":
            raise DataError(
                f"{data.source or data.name} has numbers to predict",
                "labels that are the words with which the texts go on",
                "use a column of classes",
            )
        items = tuple(Prompt(i.text, str(i.label), i.group, tuple(data.classes)) for i in data.items)
        return cls(data.name, data.level, items, data.source, data.dropped)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def dataset(self) -> Dataset:
        """The prompts as labelled texts, for probes."""
        items = tuple(Item(item.text, item.label, item.group) for item in self.items)
        return Dataset(self.name, self.level, items, source=self.source)

    @property
    def texts(self) -> list[str]:
        """The prompts, in order."""
        return [item.text for item in self.items]

    def identity(self) -> Any:
        """Return everything that determines a run's numbers, as JSON."""
        return [self.name, [[i.text, i.label, i.group, i.answers] for i in self.items]]

    def without(self, rows: Collection[int], dropped: Sequence[Dropped]) -> Self:
        """Return the set without the prompts with these 0-based numbers, which are recorded in `dropped`."""
        kept = tuple(item for number, item in enumerate(self.items) if number not in rows)
        return replace(self, items=kept, dropped=(*self.dropped, *dropped))
