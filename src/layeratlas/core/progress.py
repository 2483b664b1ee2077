"""How a stage reports its progress; the command line decides how it is shown."""

from __future__ import annotations

import time
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


class Pace:
    """How much of a stage is done, and how long the rest will take at this process's speed."""

    def __init__(self, total: float) -> None:
        self.total, self.done, self.start = total, 0.0, time.monotonic()
        self._skipped = 0.0

    def advance(self, amount: float) -> None:
        """Count work; what is reported at once was done by an earlier process, and is no part of this one's speed."""
        if time.monotonic() - self.start < 0.05 and self.done == self._skipped:
            self._skipped += amount
        self.done += amount

    @property
    def share(self) -> float:
        """The share of the stage that is done, from 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def left(self) -> float | None:
        """The seconds left; None while nothing shows the speed."""
        fresh = self.done - self._skipped
        if not fresh or not self.total:
            return None
        return max(0.0, (time.monotonic() - self.start) * (self.total - self.done) / fresh)


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
