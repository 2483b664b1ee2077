"""The contract of a task: a name for material that a study reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from layeratlas.core.spec import Size


class Task(ABC):
    """Data sets of labelled texts, question sets or passages, built into the package or plugged in.

    `build` is deterministic: the same size always gives the same items, and a smaller size is a subset of a larger
    one. `levels` maps the levels of its material, in reading order, to the words that findings use for them.
    """

    summary: str = ""
    levels: Mapping[str, str] = {}

    @abstractmethod
    def build(self, size: Size) -> Sequence[Material]:
        """Return the task's material at that size."""


class Material(Protocol):
    """The material that a study reads: labelled texts, questions, passages."""

    @property
    def name(self) -> str:
        """The name, unique within a run."""
        ...

    @property
    def level(self) -> str:
        """The level of its curves."""
        ...

    @property
    def source(self) -> str:
        """The user's file, quoted; empty for built-in material."""
        ...

    def __len__(self) -> int:
        """Return the number of texts, questions or passages."""
        ...

    def identity(self) -> Any:
        """Return, as JSON, everything that determines a run's numbers."""
        ...
