"""Which process computes which part of a stage: one process all of them, or several processes in turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Check = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a stage whose result is a file, whole or absent, that any process can write.

    `name` is a file name that changes with the part's content. `is_done` tells whether any process has written the
    part. `compute` writes it; it is given a function to call before each write, which raises StoreError if the part
    was given to another process in the meantime. `skip` reports the progress of a part that need not be computed.
    """

    name: str
    is_done: Callable[[], bool]
    compute: Callable[[Check], None]
    skip: Callable[[], None]


class Turns(ABC):
    """How the parts of a run's stages are divided among processes.

    Parts are `shared` if another process may compute some. A process that is `helping` computes parts of a run that
    belongs to another process, and nothing else of it.
    """

    shared: bool = False
    helping: bool = False

    @abstractmethod
    def begin(self, stage: str) -> None:
        """Take note of the stage that begins."""

    @abstractmethod
    def each(self, parts: Sequence[Part], on: str) -> None:
        """Return when every part is done; each one that is not done is computed by one of the processes.

        `on` describes what the numbers depend on besides the run, such as the kind of device.
        """


class Alone(Turns):
    """One process that computes every part in order."""

    def begin(self, stage: str) -> None:
        """Do nothing."""

    def each(self, parts: Sequence[Part], on: str) -> None:
        """Compute every part that is not done."""
        for part in parts:
            if part.is_done():
                part.skip()
            else:
                part.compute(_mine)


def _mine() -> None:
    """Raise nothing, since there is no other process."""


ALONE = Alone()
