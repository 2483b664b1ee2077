"""One process at a time in a folder of a bucket: a lease object with a heartbeat, written conditionally.

Creating the lease requires that there is none. Every other write (a takeover of a returned or stale lease, a heartbeat,
a return) requires that the object is unchanged since it was read. So only one of several processes succeeds, and a
process that was suspended while another took its lease over notices at its next heartbeat or receipt. Clocks of
different machines may differ by less than the time after which a lease is stale.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from layeratlas.core.errors import StoreError
from layeratlas.runs.lock import BEAT, STALE, InUseError
from layeratlas.store.bucket import Bucket, ChangedError, Entry

_held: set[str] = set()


@contextlib.contextmanager
def leased(bucket: Bucket, name: str) -> Iterator[None]:
    """Hold the lease stored as object `name`; raises InUseError if another process holds it."""
    token = secrets.token_hex(8)
    tag = _take(bucket, name, token)
    _held.add(token)
    done, heart = threading.Event(), _Heart(bucket, name, token, tag)
    thread = threading.Thread(target=heart.beat, args=(done,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _held.discard(token)
        with contextlib.suppress(StoreError):
            bucket.write(name, _line(token, held=False), over=heart.tag)


def lease_holder(bucket: Bucket, name: str) -> dict[str, Any] | None:
    """Return who holds a lease: host, pid and time of start; None if it is free or stale."""
    found = bucket.read(name)
    known = _read(found[0]) if found else {}
    return known if found and not _is_free(known, found[1]) else None


class _Heart:
    def __init__(self, bucket: Bucket, name: str, token: str, tag: dict[str, str]) -> None:
        self._bucket, self._name, self._token, self.tag = bucket, name, token, tag

    def beat(self, done: threading.Event) -> None:
        """Rewrite the lease every few seconds until it is returned or was taken over."""
        while not done.wait(BEAT):
            try:
                self.tag = self._bucket.write(self._name, _line(self._token), over=self.tag)
            except ChangedError:
                return
            except StoreError:  # no answer; try again at the next beat
                continue


def _take(bucket: Bucket, name: str, token: str) -> dict[str, str]:
    over: dict[str, str] = {}
    while True:
        with contextlib.suppress(ChangedError):
            return bucket.write(name, _line(token), over=over)
        found = bucket.read(name)
        if found is None:
            over = {}
            continue
        known, entry = _read(found[0]), found[1]
        if known.get("token") == token:  # our own request, sent twice
            return entry.tag
        if not _is_free(known, entry):
            raise InUseError(
                f"'{bucket.url}/{name}' is held by process {known.get('pid', '?')} on "
                f"{known.get('host', 'some host')}, since {known.get('started', 'just now')}",
                "one process per run",
                "wait until it ends, or choose another --out",
            )
        over = entry.tag


def _line(token: str, *, held: bool = True) -> bytes:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"host": platform.node(), "machine": _machine(), "pid": os.getpid(), "started": started}
    # The nonce makes tags differ between beats in stores that derive tags from the content.
    return json.dumps({"held": held, "token": token, "nonce": secrets.token_hex(4), **who}).encode()


def _read(data: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        known = json.loads(data)
        return known if isinstance(known, dict) else {}
    return {}


def _is_free(known: dict[str, Any], entry: Entry) -> bool:
    """Return whether a lease was returned, is stale, or belonged to a process of this machine that has ended."""
    age = (datetime.now(UTC) - entry.written).total_seconds()
    if not known.get("held", True) or age >= STALE:
        return True
    if known.get("machine") != _machine() or not isinstance(known.get("pid"), int):
        return False
    ours = known["pid"] == os.getpid()
    return known.get("token") not in _held if ours else not psutil.pid_exists(known["pid"])


@cache
def _machine() -> str:
    """Return an identifier of this machine (since boot) and container, which may share a host name with others."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
