"""Passages of running prose, half narrative and half exposition."""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.lists import read_lines
from layeratlas.data.passages import Passages
from layeratlas.data.task import Task

_EACH = {"quick": 12, "standard": 36, "full": 100}
KINDS = ("narrative", "exposition")


class PassagesTask(Task):
    """200 passages of 250 to 270 words written for this project: 100 narrative, 100 exposition.

    A size takes the same number of each kind, in file order: 24, 72 or 200 in all.
    """

    summary = "passages of 250 to 270 words, half narrative and half exposition, for metrics of running text"

    def build(self, size: Size) -> list[Passages]:
        """Return one set of passages."""
        texts: list[str] = []
        kinds: list[str] = []
        for kind in KINDS:
            texts += read_lines(f"passages_{kind}")[: _EACH[size]]
            kinds += [kind] * _EACH[size]
        return [Passages(name="passages", texts=tuple(texts), kinds=tuple(kinds))]


PLUGIN = PassagesTask()
