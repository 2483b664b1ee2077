"""How a stage reports its progress; the command line decides how it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from layeratlas.core.errors import SpecError


class Step(Protocol):
    """One stage in progress."""

    def advance(self, amount: float = 1) -> None:
        """Report that `amount` of the stage's total is done."""


class Progress:
    """Progress that shows nothing; the base class of what the command line shows."""

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Step]:
        """Open a stage of `total` units of work."""
        yield _Quiet()

    def note(self, text: str) -> None:
        """Show one line of text."""

    def preview(self, text: str) -> None:
        """Show a first result in one line; does nothing if the progress is not displayed live."""


def checked_progress(progress: object) -> Progress:
    """Return the given progress, or one that shows nothing for None; raises SpecError for another type."""
    if progress is None:
        return Progress()
    if not isinstance(progress, Progress):
        raise SpecError(f"the progress is {progress!r}", "a Progress, or None to show nothing")
    return progress


class _Quiet:
    def advance(self, amount: float = 1) -> None:
        pass
