"""Passages of running prose, half narrative and half exposition."""

from __future__ import annotations

from importlib.resources import files

from layeratlas.core.spec import Size
from layeratlas.data.passages import Passages
from layeratlas.data.task import Task

_EACH = {"quick": 12, "standard": 36, "full": 100}
KINDS = ("narrative", "exposition")


class PassagesTask(Task):
    """200 passages of 250 to 270 words written for this project: 100 narrative, 100 exposition.

    A size takes the first passages of each kind in equal number: 24, 72 or 200 in all.
    """

    summary = "passages of 250 to 270 words, half narrative and half exposition, for metrics of running text"

    def build(self, size: Size) -> list[Passages]:
        """Return one set of passages."""
        texts: list[str] = []
        kinds: list[str] = []
        for kind in KINDS:
            path = files("layeratlas.data") / "shipped_files" / f"passages_{kind}.txt"
            texts += path.read_text(encoding="utf-8").splitlines()[: _EACH[size]]
            kinds += [kind] * _EACH[size]
        return [Passages("passages", texts=tuple(texts), kinds=tuple(kinds))]


PLUGIN = PassagesTask()
