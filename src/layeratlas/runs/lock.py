"""One process at a time in a run's folder: a lock file with a heartbeat.

The file is created exclusively and holds the host, the process id and the time; its modification time is the heartbeat.
A lock is stale if its process on this host has ended, or after some minutes without a heartbeat. A process holds the
system's lock (flock) of the file while it removes it, whether it is the holder or found the lock stale. So if several
processes find it stale, none removes the new lock of a faster process.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_regular

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "run.lock"
# Seconds between two heartbeats, and without a heartbeat until a lock is stale.
BEAT, STALE = 20.0, 300.0
_DAY = 24 * 3600.0
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
# The locks of this process. A lock with this process's id that is not in the set is stale: a former container left it.
_held: set[Path] = set()
_guard = threading.Lock()


class InUseError(StoreError):
    """Raised if another process works in a folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; raises InUseError if another process holds it.

    A folder that cannot be written needs no lock, since nobody changes it.
    """
    path = folder.absolute() / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _guard:  # a second thread must see that this process holds the lock
            inode = _take(path)
            _held.add(path)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            yield
            return
        raise StoreError(
            f"cannot write '{folder}': {error.strerror}", "a folder that can be written", "choose another --out"
        ) from error
    done = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, done), daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        with _guard:
            _held.discard(path)
            with contextlib.suppress(OSError), _sole(path) as seen:
                if seen.st_ino == inode:  # else it was taken over while this process was suspended
                    path.unlink()


def _take(path: Path) -> int:
    """Create the lock and return its inode; a stale lock is removed first."""
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _remove_foreign(path)
            _remove_stale(path)
            continue
        with os.fdopen(handle, "w") as file:
            started = datetime.now(UTC).isoformat(timespec="seconds")
            json.dump({"host": platform.node(), "pid": os.getpid(), "started": started}, file)
            return os.fstat(file.fileno()).st_ino


def holder(folder: Path) -> dict[str, Any] | None:
    """Return who holds a folder's lock: host, pid and time of start; None if it is free or stale."""
    path = folder.absolute() / LOCK
    with contextlib.suppress(OSError):
        seen = path.stat()
        known = _holder(read_regular(path).decode(errors="replace"))
        return None if _is_stale(seen, known, path) else known
    return None


def _is_stale(seen: os.stat_result, known: dict[str, Any], path: Path) -> bool:
    age = time.time() - seen.st_mtime
    # A copied or restored folder may have a time in the future, and would count as held until then.
    return age >= STALE or age < -_DAY or _gone(known, path)


def _remove_foreign(path: Path) -> None:
    """Remove anything at the lock's path that is not a regular file: a link, a pipe, an empty directory."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            try:
                path.rmdir()
            except OSError:
                raise StoreError(f"'{path}' is a directory with files in it", "a lock", "move it away") from None
        elif not stat.S_ISREG(mode):
            path.unlink()


def _remove_stale(path: Path) -> None:
    """Remove a stale lock; raises InUseError if the lock is held."""
    with contextlib.suppress(FileNotFoundError), _sole(path) as seen:  # not found: released in the meantime
        known = _holder(read_regular(path).decode(errors="replace"))
        if not _is_stale(seen, known, path):
            raise InUseError(
                f"'{path.parent}' is in use by process {known.get('pid', '?')} on {known.get('host', 'some host')}, "
                f"since {known.get('started', 'just now')}",
                "one process per run",
                "wait until it ends, or choose another --out",
            )
        path.unlink()


@contextlib.contextmanager
def _sole(path: Path) -> Iterator[os.stat_result]:
    """Hold the system's lock (flock) of the file at the path, and yield its state."""
    if fcntl is None:  # such systems cannot remove an open file either
        yield path.stat()
        return
    with path.open("r+b" if os.access(path, os.W_OK) else "rb") as file:
        # Without flock, there is a gap of microseconds between check and removal.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_ino != path.stat().st_ino:  # another process was faster
            raise FileNotFoundError(errno.ENOENT, "replaced in the meantime", str(path))
        yield path.stat()


def _holder(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        known = json.loads(text)
        return known if isinstance(known, dict) else {}
    return {}


def _gone(known: dict[str, Any], path: Path) -> bool:
    """Return whether the holder was a process of this host that has ended."""
    pid = known.get("pid")
    if known.get("host") != platform.node() or not isinstance(pid, int):
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
    while not done.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)
