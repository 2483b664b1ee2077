"""Passages of running text, and what can be measured on them; checked once, at construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from layeratlas.core.errors import DataError


@dataclass(frozen=True)
class Passages:
    """Passages of running text, each of a kind (narrative, exposition, a file's name).

    Passages are the independent units: intervals come from resampling them. Raises DataError, naming the passage, for
    fewer than two passages, an empty one, one that stands twice, or kinds that do not match the texts.
    """

    name: str
    level: str = "text"
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        where = self.source or f"task '{self.name}'"
        for number, text in enumerate(self.texts, 1):
            if not text.strip():
                raise DataError(f"{where}: passage {number} is empty", "a text in every passage", "fill or drop it")
        if len(self.texts) < 2:
            raise DataError(
                f"{where} holds {len(self.texts)} passage{'s' * (len(self.texts) != 1)}",
                "at least two, since intervals come from resampling passages",
                "add passages or split the text into several",
            )
        if len(set(self.texts)) < len(self.texts):
            twice = next(i for i, text in enumerate(self.texts, 1) if text in self.texts[: i - 1])
            raise DataError(f"{where}: passage {twice} stands twice", "each passage once", "drop one")
        if len(self.kinds) != len(self.texts):
            raise DataError(f"{where} has {len(self.texts)} passages and {len(self.kinds)} kinds", "a kind each")

    def identity(self) -> Any:
        """Return everything that decides a run's numbers, as JSON."""
        return [self.name, list(self.texts), list(self.kinds)]
