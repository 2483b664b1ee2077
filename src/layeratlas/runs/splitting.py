"""A run whose stages are split among processes that share its folder: its owner, and helpers.

A stage is a list of parts (`core/turns.py`), each with files of its own in the run's folder. Once a stage has taken a
while, the owner posts an order: the stage, and the names of its parts. From then on every process, the owner too, holds
the lease of a part while it computes it. Helpers leave when no part is free; the owner waits for the parts that others
hold, takes over those whose holder has died, and writes everything else.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from layeratlas.core.checksums import read_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.turns import Check, Part, Turns
from layeratlas.runs.lock import InUseError
from layeratlas.runs.place import Place

# Seconds after which a stage is worth the time that a helper takes to load a model.
WORTH = 20.0
# Seconds between two looks at the parts that other processes hold.
_LOOK = 0.2


class NothingLeftError(Exception):
    """Raised in a helper when no part of the stage is free."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A stage to help with: its parts by name, what their numbers depend on besides the run, and who posted it."""

    stage: str
    parts: list[str]
    on: str
    by: str


class Desk:
    """Where the owner of a run posts orders, and where parts are held: files below `name` at a place.

    `run` is the run's folder there. In a bucket every process has a copy of it: the files of a part travel under its
    lease, so that the next holder has those of all parts that are done.
    """

    def __init__(self, place: Place, name: str, run: str) -> None:
        self._place, self._run = place, run
        self._order, self._parts = f"{name}/order.json", f"{name}/parts"
        self.pause = max(_LOOK, place.pause)

    def order(self) -> Order | None:
        """Return the order that is posted, if any."""
        self._place.fetch(self._order)
        path = self._place.folder / self._order
        with contextlib.suppress(StoreError, TypeError):
            return Order(**read_sealed(path)) if path.exists() else None
        return None

    def post(self, order: Order) -> None:
        """Post an order in place of any other; whoever reads it finds what the run has stored so far."""
        self._place.publish(self._run)
        write_sealed(self._place.folder / self._order, asdict(order))
        self._place.publish(self._order)

    def is_used(self) -> bool:
        """Return whether a former owner did not end a stage that it had posted, so that helpers may be left."""
        return self._place.exists(self._order) or self._place.exists(self._parts)

    def withdraw(self) -> None:
        """Remove the order, so that helpers take no more parts."""
        self._place.remove(self._order)

    def clear(self) -> None:
        """Remove the order and the leases of its parts."""
        self.withdraw()
        self._place.remove(self._parts)

    @contextlib.contextmanager
    def held(self, part: Part) -> Iterator[Check]:
        """Hold a part; raises InUseError if another process holds it."""
        name = f"{self._parts}/{part.name}"
        with self._place.held(name):
            mine = self._place.holder(name)
            yield lambda: _demand(self._place.holder(name), mine, part.name)

    def take(self, part: Part, compute: Callable[[Part, Check], None]) -> bool:
        """Call `compute` with a part while it is held; return False if another process holds it or has taken it over.

        An InUseError of the part itself, which may need something else that is in use, is raised.
        """
        with contextlib.ExitStack() as lease:
            try:
                check = lease.enter_context(self.held(part))
            except InUseError:
                return False
            try:
                self._place.update(self._run)
                compute(part, check)
                check()
                self._place.add(self._run)
            except _LostError:
                return False
        return True


class _LostError(StoreError):
    """Raised if another process has taken over a part."""


def _demand(holder: dict[str, Any] | None, mine: dict[str, Any] | None, part: str) -> None:
    """Raise an error unless this process holds a part: after a long sleep, another one may have taken it over."""
    if holder is None or mine is None or any(holder.get(name) != mine.get(name) for name in ("token", "host", "pid")):
        raise _LostError(f"another process has taken over the part {part}", "a process that does not sleep")


class OwnTurns(Turns):
    """The turns of the process that a run belongs to; made when the run begins.

    The order of a killed owner is withdrawn at once, since helpers would trust files that this one has not yet compared
    with their checksums. Those that are in a part are heeded.
    """

    shared = True

    def __init__(self, desk: Desk) -> None:
        self._desk, self._stage, self._helped = desk, "", desk.is_used()
        desk.withdraw()

    def begin(self, stage: str) -> None:
        """Take note of the stage that begins, for the order."""
        self._stage = stage

    def each(self, parts: Sequence[Part], on: str) -> None:
        """Compute parts, alone at first, and wait for those that helpers have begun."""
        by = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"
        order = Order(stage=self._stage, parts=[part.name for part in parts], on=on, by=by)
        try:
            posted = self._go_through(parts, order)
        except Exception:
            self._desk.withdraw()
            raise
        if posted:
            self._desk.clear()
            self._helped = False

    def _go_through(self, parts: Sequence[Part], order: Order) -> bool:
        """Compute parts until all are done; return whether the order was posted."""
        open_parts, due = list(parts), time.monotonic() + WORTH
        posted = self._helped or self._desk.is_used()
        if posted:
            self._desk.post(order)
        while open_parts:
            held = []
            for left, part in zip(range(len(open_parts), 0, -1), open_parts, strict=True):
                if not posted and left > 1 and time.monotonic() >= due:
                    self._desk.post(order)
                    posted = True
                if not posted:
                    _alone(part)
                elif not self._taken(part):
                    held.append(part)
            open_parts = held
            if held:
                time.sleep(self._desk.pause)
        return posted

    def _taken(self, part: Part) -> bool:
        """Compute a part under its lease if it is not done; return False if another process holds it."""
        if part.is_done():
            part.skip()
            return True
        return self._desk.take(part, _alone)


def _alone(part: Part, check: Check = lambda: None) -> None:
    if part.is_done():
        part.skip()
    else:
        part.compute(check)


class HelpingTurns(Turns):
    """The turns of a process that helps with an order; `computed` are the names of the parts that it has computed."""

    shared = helping = True

    def __init__(self, desk: Desk, order: Order) -> None:
        self._desk, self._order = desk, order
        self.computed: list[str] = []

    def begin(self, stage: str) -> None:
        """Do nothing, since the order names the stage."""

    def each(self, parts: Sequence[Part], on: str) -> None:
        """Compute parts of the order that no other process holds; raises NothingLeftError after the last.

        Parts of an earlier step of the stage are done, and are passed while the order is posted. Else this process
        cannot help, as with other hardware or another packing, and must not go on with the stage, which is the owner's.
        """
        names = [part.name for part in parts]
        earlier = names != self._order.parts and self._desk.order() == self._order
        if earlier and all(part.is_done() for part in parts):
            return
        asked = (names, on) == (self._order.parts, self._order.on)
        for part in parts if asked else ():
            if self._desk.order() != self._order:
                break
            if not part.is_done():
                self._desk.take(part, self._compute)
        raise NothingLeftError

    def _compute(self, part: Part, check: Check) -> None:
        if not part.is_done():
            part.compute(check)
            self.computed.append(part.name)
