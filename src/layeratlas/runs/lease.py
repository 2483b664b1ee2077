"""One process at a time in a folder of a bucket: a lease object with a heartbeat, written conditionally.

Creating the lease requires that there is none. Every other write (a takeover of a returned or stale lease, a heartbeat,
a return) requires that the object is unchanged since it was read. So only one of several processes succeeds. A process
that was suspended while another took its lease over notices before it uploads anything (`Lease.demand`). A
lease is stale if it is by this machine's clock and by the store's.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from layeratlas.core.errors import AtlasError, SpecError, StoreError
from layeratlas.core.processes import machine
from layeratlas.runs.lock import BEAT, STALE, in_use, read_holder, this_process, was_abandoned
from layeratlas.store.bucket import ABSENT, Bucket, ChangedError, Entry, Tag

_held: set[str] = set()


class TakenOverError(ChangedError):
    """Raised if another process has taken over a lease of this one, which gave no sign for minutes."""


@contextlib.contextmanager
def leased(bucket: Bucket, name: str) -> Iterator[Lease]:
    """Hold the lease stored as object `name`; raises InUseError if another process holds it."""
    token = secrets.token_hex(8)
    _held.add(token)  # before it is written: another thread must not take it for that of a process that has ended
    try:
        lease = Lease(bucket, name, token, _take(bucket, name, token))
        done = threading.Event()
        thread = threading.Thread(target=lease.keep, args=(done,), daemon=True)
        thread.start()
        try:
            yield lease
        finally:
            done.set()
            thread.join()
            lease.give_back()
    finally:
        _held.discard(token)


def lease_holder(bucket: Bucket, name: str) -> dict[str, Any] | None:
    """Return who holds a lease: host, pid and time of start; None if it is free or stale.

    Where the store's clock cannot be asked, as without the right to write, this machine's clock alone decides.
    """
    found = bucket.read(name)
    if found is None:
        return None
    known, entry = read_holder(found[0]), found[1]
    try:
        takeable = _is_takeable(bucket, name, known, entry)
    except StoreError:
        takeable = _is_free(known, entry, datetime.now(UTC))
    return None if takeable else known


class Lease:
    """A lease that this process has taken, as long as no other process takes it over."""

    def __init__(self, bucket: Bucket, name: str, token: str, tag: Tag) -> None:
        self._bucket, self._name, self._token, self._tag = bucket, name, token, tag
        self._beaten, self._one_at_a_time = time.time(), threading.Lock()
        self._error: AtlasError | None = None

    def demand(self) -> None:
        """Raise TakenOverError if another process has the lease, and SpecError if it could not be renewed.

        If this process gave no sign for several heartbeats, as one that was suspended, the bucket is asked.
        """
        with self._one_at_a_time:
            if self._error is None and not 0 <= time.time() - self._beaten <= 2 * BEAT:
                self._renew()
            if self._error is not None:
                raise self._error

    def keep(self, done: threading.Event) -> None:
        """Renew the lease every few seconds until it is given back or was taken over."""
        while self._error is None and not done.wait(BEAT):
            with self._one_at_a_time, contextlib.suppress(StoreError):  # no answer: try again at the next heartbeat
                self._renew()

    def give_back(self) -> None:
        """Let others take the lease."""
        if self._error is None:
            with contextlib.suppress(AtlasError):
                self._bucket.write(self._name, _line(self._token, held=False), over=self._tag)

    def _renew(self) -> None:
        now = time.time()
        try:
            self._tag = self._bucket.write(self._name, _line(self._token), over=self._tag)
        except ChangedError:
            found = self._bucket.read(self._name)
            if found is None or read_holder(found[0]).get("token") != self._token:
                self._error = TakenOverError(
                    f"another process has taken over '{self._bucket.url}/{self._name}', since this one gave no sign "
                    f"for {STALE / 60:.0f} minutes",
                    "one process per run",
                    "run the same command again to see what it has done",
                )
                return
            self._tag = found[1].tag  # our own request, sent twice
        except SpecError as error:
            self._error = error
            return
        self._beaten = now


def _take(bucket: Bucket, name: str, token: str) -> Tag:
    over = ABSENT
    while True:
        with contextlib.suppress(ChangedError):
            return bucket.write(name, _line(token), over=over)
        found = bucket.read(name)
        if found is None:
            over = ABSENT
            continue
        known, entry = read_holder(found[0]), found[1]
        if known.get("token") == token:  # our own request, sent twice
            return entry.tag
        if not _is_takeable(bucket, name, known, entry):
            raise in_use(f"{bucket.url}/{name}", known)
        over = entry.tag


def _line(token: str, *, held: bool = True) -> bytes:
    # The nonce makes tags differ between beats in stores that derive tags from the content.
    return json.dumps({"held": held, "token": token, "nonce": secrets.token_hex(4), **this_process()}).encode()


def _is_takeable(bucket: Bucket, name: str, known: dict[str, Any], entry: Entry) -> bool:
    """Return whether a lease is free, also by the store's clock if it is stale by this machine's."""
    now = datetime.now(UTC)
    if not _is_free(known, entry, now):
        return False
    if _is_free(known, entry, entry.written):
        return True
    # Hidden from mirrors, and of this question alone: a killed process may leave it, and others ask at the same time.
    clock = str(PurePosixPath(name).with_name(f".clock-{secrets.token_hex(8)}"))
    return _is_free(known, entry, bucket.now(clock) or now)


def _is_free(known: dict[str, Any], entry: Entry, now: datetime) -> bool:
    """Return whether a lease was returned, is stale, or belonged to a process of this machine that has ended."""
    if not known.get("held", True) or (now - entry.written).total_seconds() >= STALE:
        return True
    # Machines all over the world that share a bucket may have one name.
    return known.get("machine") == machine() and was_abandoned(known, known.get("token") in _held)
