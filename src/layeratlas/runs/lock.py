"""One process at a time in a run's folder: a lock file with a heartbeat.

The file is created exclusively and holds the host, the process id and the time; its modification time is the heartbeat.
It is stale where its process is gone on this host or its heart has not beaten for some minutes, and is then taken over
by a rename, which only one of several processes succeeds in.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError

LOCK = "run.lock"
# Seconds between two heartbeats, and after which a silent heart has stopped.
_BEAT, _STALE = 20.0, 300.0
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# The locks of this process: another one with its id, left by a container that is no more, is stale.
_held: set[Path] = set()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; raises StoreError where another process does.

    A folder that cannot be written needs no lock, since nobody changes it.
    """
    path = folder.absolute() / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        inode = _take(path)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            yield
            return
        raise StoreError(
            f"cannot write '{folder}': {error.strerror}", "a folder that can be written", "choose another --out"
        ) from error
    _held.add(path)
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        _held.discard(path)
        with contextlib.suppress(OSError):
            if path.stat().st_ino == inode:  # else it was taken over from a process that slept for minutes
                path.unlink()


def _take(path: Path) -> int:
    """Create the lock and return its inode; a stale one is moved out of the way first."""
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _remove_stale(path)
            continue
        with os.fdopen(handle, "w") as file:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            json.dump({"host": platform.node(), "pid": os.getpid(), "started": started}, file)
            return os.fstat(file.fileno()).st_ino


def _remove_stale(path: Path) -> None:
    """Move a stale lock away; raises StoreError where the lock is held."""
    try:
        seen = path.stat()
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return  # it was given back in the meantime
    holder = _holder(text)
    if time.time() - seen.st_mtime < _STALE and not _gone(holder, path):
        raise StoreError(
            f"'{path.parent}' is in use by process {holder.get('pid', '?')} on {holder.get('host', 'some host')}, "
            f"since {holder.get('started', 'just now')}",
            "one process per run",
            "wait until it ends, or choose another --out",
        )
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
        moved = aside.stat()
        if (moved.st_ino, moved.st_mtime_ns) != (
            seen.st_ino,
            seen.st_mtime_ns,
        ):  # another process was faster, and this is its lock: give it back
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        aside.unlink(missing_ok=True)


def _holder(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        holder = json.loads(text)
        return holder if isinstance(holder, dict) else {}
    return {}


def _gone(holder: dict[str, Any], path: Path) -> bool:
    """Return whether the holder was a process of this host that is no more."""
    pid = holder.get("pid")
    if holder.get("host") != platform.node() or not isinstance(pid, int):
        return False
    if pid == os.getpid():
        return path not in _held
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _beat(path: Path, done: threading.Event) -> None:
    while not done.wait(_BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)
