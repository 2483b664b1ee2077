"""The texts that each layer gets wrong, for a report that shows them layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Mistakes:
    """Texts of one task with their labels, and for each layer the places of those that it gets wrong.

    `said` is, for each layer, the label that it gives to each of its wrong texts; `of` how many texts the task has,
    which may be more than are here.
    """

    level: str
    task: str
    texts: Sequence[str]
    labels: Sequence[str]
    wrong: Sequence[Sequence[int]]
    said: Sequence[Sequence[str]]
    of: int
