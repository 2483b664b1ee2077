"""The texts that each layer gets wrong, for a report that shows them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Ints

# The number of characters of a text that a page shows.
_LETTERS = 90


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """Texts of one task with their labels, and for each layer the indices of the texts that it gets wrong.

    `said` gives, for each layer, the index in `names` of the predicted label of each wrong text; both are None for a
    layer that was not read. `of` is the number of texts of the task, which may be more than are listed here. `given` is
    the page's wording for a layer's prediction.
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
    """Return a text, cut between words if it has more than `letters` characters."""
    return text if len(text) <= letters else f"{text[:letters].rsplit(' ', 1)[0]} …"
