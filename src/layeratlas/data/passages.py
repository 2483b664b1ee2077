"""Passages of running text, checked once, at construction; and noisy copies of a passage."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from layeratlas.core.errors import DataError
from layeratlas.core.formatting import counted
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.names import check_name

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_DROPPED, _MISTYPED = 0.1, 0.1


@dataclass(frozen=True)
class Passages:
    """Passages of running text, each of a kind (narrative, exposition, a language, a file's name).

    Passages are the independent units: intervals come from resampling them. `groups` names passages that belong
    together, such as translations of one text; empty: none do. `languages`: whether the kinds are languages. Raises
    DataError, naming the passage, for fewer than two passages, an empty one, a duplicate, or kinds that do not match
    the texts.
    """

    name: str
    level: str = "text"
    texts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    languages: bool = False
    source: str = ""
    dropped: tuple[Dropped, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        where = self.source or f"task '{self.name}'"
        for number, text in enumerate(self.texts, 1):
            if not text.strip():
                raise DataError(f"{where}: passage {number} is empty", "a text in every passage", "fill or drop it")
        if len(self.texts) < 2:
            raise DataError(
                f"{where} has {counted(len(self.texts), 'passage')}",
                "at least two, since intervals come from resampling passages",
                "add passages or split the text into several",
            )
        if len(set(self.texts)) < len(self.texts):
            copy = next(i for i, text in enumerate(self.texts, 1) if text in self.texts[: i - 1])
            raise DataError(f"{where}: passage {copy} is duplicated", "each passage once", "drop one")
        if len(self.kinds) != len(self.texts):
            raise DataError(
                f"{where} has {len(self.texts)} passages and {len(self.kinds)} kinds", "one kind per passage"
            )

    def __len__(self) -> int:
        return len(self.texts)

    def identity(self) -> Any:
        """Return everything that determines a run's numbers, as JSON."""
        groups = [list(self.groups)] if self.groups else []
        return [self.name, list(self.texts), list(self.kinds), *groups]

    def without(self, rows: Collection[int], dropped: Sequence[Dropped]) -> Self:
        """Return the passages without those with these 0-based numbers, which are recorded in `dropped`."""
        kept = [number for number in range(len(self.texts)) if number not in rows]
        return replace(
            self,
            texts=tuple(self.texts[number] for number in kept),
            kinds=tuple(self.kinds[number] for number in kept),
            groups=tuple(self.groups[number] for number in kept if self.groups),
            dropped=(*self.dropped, *dropped),
        )


def noisy_copy(text: str, number: int) -> str:
    """Return copy `number` of a text: a tenth of the words dropped, a tenth with one letter changed.

    Deterministic: the same text and number always give the same copy.
    """
    rng = random.Random(hashlib.sha256(f"{number}\n{text}".encode()).digest())
    words = [w for w in text.split() if rng.random() >= _DROPPED]
    return " ".join(_mistype(word, rng) if rng.random() < _MISTYPED else word for word in words)


def _mistype(word: str, rng: random.Random) -> str:
    position = rng.randrange(len(word))
    return word[:position] + rng.choice(_LETTERS) + word[position + 1 :]
