"""One process at a time in a run's folder: a lock file with a heartbeat.

The file is created exclusively and holds the host, the process id, the time and a random token; its modification time
is the heartbeat. A lock is stale if its process on this host has ended, or after some minutes without a heartbeat. A
process holds the system's lock (flock) of the file while it removes it, whether it is the holder or found the lock
stale. So if several processes find it stale, none removes the new lock of a faster process. A process that was
suspended while another took its lock over puts no more files into the folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError
from layeratlas.core.files import now_at, owned, read_regular
from layeratlas.core.processes import has_ended, machine

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


class LockLostError(StoreError):
    """Raised if another process has taken over what this one held, since it gave no sign for minutes."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock; raises InUseError if another process holds it.

    If another process takes the lock over, because this one was suspended, no more files are put into the folder:
    LockLostError is raised instead (`core.files.owned`). A folder that cannot be written needs no lock, since nobody
    changes it. A folder that was created for its lock and is still empty at the end is removed.
    """
    path = folder.absolute() / LOCK
    made = not path.parent.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _guard:  # a second thread must see that this process holds the lock
            lock = _Lock(path, _take(path))
            _held.add(path)
    except OSError as error:
        if error.errno in _UNWRITABLE:
            yield
            return
        raise StoreError(
            f"cannot write '{folder}': {error.strerror}", "a folder that can be written", "choose another --out"
        ) from error
    done = threading.Event()
    heart = threading.Thread(target=lock.keep, args=(done,), daemon=True)
    heart.start()
    try:
        with owned(folder, lock.demand):
            yield
    finally:
        done.set()
        with _guard:
            _held.discard(path)
            lock.give_back()
            if made:
                with contextlib.suppress(OSError):  # not empty
                    path.parent.rmdir()


class _Lock:
    """A lock that this process has taken, as long as no other process takes it over."""

    def __init__(self, path: Path, token: str) -> None:
        self._path, self._token = path, token
        self._beaten, self._one_at_a_time, self._lost = time.time(), threading.Lock(), False

    def demand(self) -> None:
        """Raise LockLostError if another process has the lock.

        The file is read if this process gave no sign for two heartbeats, as one that was suspended.
        """
        with self._one_at_a_time:
            if not self._lost and not 0 <= time.time() - self._beaten <= 2 * BEAT:
                self._beat()
        if self._lost:
            raise LockLostError(
                f"another process has taken over '{self._path.parent}', since this one gave no sign for "
                f"{STALE / 60:.0f} minutes",
                "one process per run",
                "run the same command again to see what it has done",
            )

    def keep(self, done: threading.Event) -> None:
        """Renew the lock every few seconds until it is given back or was taken over."""
        while not self._lost and not done.wait(BEAT):
            with self._one_at_a_time:
                self._beat()

    def give_back(self) -> None:
        """Remove the lock, if it is still this process's."""
        with contextlib.suppress(OSError), _sole(self._path):
            if self._is_ours():
                self._path.unlink()

    def _beat(self) -> None:
        with contextlib.suppress(OSError):  # no answer: asked again at the next heartbeat
            if self._is_ours():
                os.utime(self._path)
                self._beaten = time.time()
            else:
                self._lost = True

    def _is_ours(self) -> bool:
        """Return whether the lock holds this process's token; its inode may be given to the lock of another."""
        try:
            return read_holder(read_regular(self._path)).get("token") == self._token
        except FileNotFoundError:  # taken over, and given back
            return False


def _take(path: Path) -> str:
    """Create the lock and return its token; a stale lock is removed first."""
    token = secrets.token_hex(8)
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _remove_foreign(path)
            _remove_stale(path)
            continue
        except FileNotFoundError:  # its last holder left nothing in the folder, and removed it
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        with os.fdopen(handle, "w") as file:
            json.dump({**this_process(), "token": token}, file)
        return token


def holder(folder: Path) -> dict[str, Any] | None:
    """Return who holds a folder's lock: host, pid and time of start; None if it is free or stale."""
    path = folder.absolute() / LOCK
    with contextlib.suppress(OSError):
        seen = path.stat()
        known = read_holder(read_regular(path))
        return None if _is_stale(seen, known, path) else known
    return None


def _is_stale(seen: os.stat_result, known: dict[str, Any], path: Path) -> bool:
    # A copied or restored folder may have a time in the future, and would count as held until then.
    if _is_silent(time.time() - seen.st_mtime) and _is_silent(now_at(path.parent) - seen.st_mtime):
        return True
    # Machines that share a folder have names of their own, and a container that is restarted keeps its name.
    return known.get("host") == platform.node() and was_abandoned(known, path in _held)


def _is_silent(age: float) -> bool:
    return age >= STALE or age < -_DAY


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
        known = read_holder(read_regular(path))
        if not _is_stale(seen, known, path):
            raise in_use(str(path.parent), known)
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


def this_process() -> dict[str, Any]:
    """Return what a lock tells of its holder, which is this process."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": platform.node(), "machine": machine(), "pid": os.getpid(), "started": started}


def read_holder(data: bytes) -> dict[str, Any]:
    """Return what a lock tells of its holder; empty if it is damaged."""
    with contextlib.suppress(ValueError):
        known = json.loads(data)
        return known if isinstance(known, dict) else {}
    return {}


def was_abandoned(known: dict[str, Any], ours: bool) -> bool:
    """Return whether a lock's holder, a process of this machine, has ended; `ours`: this process holds the lock."""
    pid = known.get("pid")
    return isinstance(pid, int) and (not ours if pid == os.getpid() else has_ended(pid))


def in_use(what: str, known: dict[str, Any]) -> InUseError:
    """Return the error for a lock that another process holds."""
    return InUseError(
        f"'{what}' is in use by process {known.get('pid', '?')} on {known.get('host', 'some host')}, since "
        f"{known.get('started', 'just now')}",
        "one process per run",
        "wait until it ends, or choose another --out",
    )
