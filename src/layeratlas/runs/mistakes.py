"""The texts that each layer gets wrong, for a report that shows them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Ints

# Letters of a text that a page shows.
_LETTERS = 90


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """Texts of one task with their labels, and for each layer the places of those that it gets wrong.

    `said` is, for each layer, the place in `names` of what it gives for each of its wrong texts; both are None for a
    layer that was not read. `of` is how many texts the task has, which may be more than are here; `given` how a page
    says that a layer gives a label.
    """

    level: str
    task: str
    texts: Sequence[str]
    labels: Sequence[str]
    names: Sequence[str]
    wrong: Sequence[Sequence[int] | None]
    said: Sequence[Sequence[int] | None]
    of: int
    given: str = "read as"


def evenly(count: int, most: int) -> Ints:
    """Return at most `most` of the numbers from 0 to `count` - 1, evenly spaced."""
    chosen: Ints = np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))
    return chosen


def brief(text: str, letters: int = _LETTERS) -> str:
    """Return a text, cut at a word where it is longer than that many letters."""
    return text if len(text) <= letters else f"{text[:letters].rsplit(' ', 1)[0]} …"
