"""Files that are complete or absent: atomic writes, checksums, and a full disk reported in one line."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from layeratlas.core.errors import FullError, StoreError
from layeratlas.core.processes import has_ended

# The manifest and the page of a comparison's folder.
COMPARISON, COMPARISON_PAGE = "comparison.json", "comparison.html"
# Seconds after which a half-written file of another machine counts as left behind.
_LEFT = 300.0


# By folder: what raises an error if the folder has been given to another process.
_owned: dict[Path, Callable[[], None]] = {}


@contextlib.contextmanager
def owned(folder: Path, demand: Callable[[], None]) -> Iterator[None]:
    """Call `demand` before any file below a folder is put into place; it raises an error if that is not allowed."""
    folder = folder.absolute()
    _owned[folder] = demand
    try:
        yield
    finally:
        del _owned[folder]


def demand_ownership(path: Path) -> None:
    """Raise an error if a path is below a folder that has been given to another process."""
    path = path.absolute()
    for folder, demand in list(_owned.items()):
        if path.is_relative_to(folder):
            demand()


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that, even after a crash, `path` holds all of it or its old content.

    The file's permissions follow the umask. An empty directory at `path` is removed. Raises StoreError if the disk is
    full, the folder cannot be written, or a directory with files is at `path`; and the error of `owned`.
    """
    temporary = _part_in(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            demand_ownership(path)
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        raise _write_error(path, len(data), error) from error


def _part_in(folder: Path) -> Path:
    """Return a new name for a file of this process that is not whole yet."""
    return folder / f".{os.getpid()}@{platform.node()}@{secrets.token_hex(8)}.part"


def now_at(folder: Path) -> float:
    """Return the time by the clock that gives a folder's files their times: on NFS the server's, not this machine's.

    A machine whose clock is minutes ahead would take the files of others for old ones. Where no file can be written, it
    is this machine's time.
    """
    probe = _part_in(folder)
    try:
        probe.touch(exist_ok=False)
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def _write_error(path: Path, size: int, error: OSError | ValueError) -> StoreError:
    if isinstance(error, ValueError):  # a NUL or a lone surrogate in the name
        return StoreError(f"no file can be named {str(path)!r}", "a name that the system takes", "choose another")
    if error.errno == errno.ENOTEMPTY:
        return StoreError(
            f"'{path}' is a directory with files in it",
            "a file, or nothing, of that name",
            "move the directory away, then run the same command again",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullError(
            f"the disk is full: {size / 1e6:,.1f} MB for '{path.name}' did not fit in '{path.parent}'",
            "free space for the whole run",
            "free some space or use --out on another disk, then run the same command to resume",
        )
    return StoreError(
        f"cannot write '{path}': {error.strerror}", "a folder that can be written", "choose another --out"
    )


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically."""
    text = json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n"
    # A lone surrogate, from a name that is not UTF-8, is written as a JSON escape.
    write_atomic(path, text.encode(errors="backslashreplace"))


def read_json(path: Path) -> Any:
    """Read a JSON file; raises StoreError if it is missing or invalid."""
    try:
        return json.loads(read_regular(path))
    except FileNotFoundError:
        raise StoreError(f"'{path}' does not exist", "a run folder", "check the path") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"'{path}' cannot be read ({error})", "JSON written by layeratlas", "run the same command again"
        ) from None


def read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file, unchecked; empty if it cannot be read."""
    with contextlib.suppress(StoreError):
        value = read_json(path)
        return value if isinstance(value, dict) else {}
    return {}


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; raises OSError for a pipe or a device, which might never end."""
    with _regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_regular(path: Path) -> bytes:
    """Return a file's bytes; raises OSError for a pipe or a device, which might never end."""
    with _regular(path) as file:
        return file.read()


def _regular(path: Path) -> BufferedReader:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def sweep_parts(folder: Path) -> None:
    """Remove files that an earlier process left half-written in a folder, but none that another one is writing."""
    for path in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if not _is_being_written(path):
                path.unlink(missing_ok=True)


def _is_being_written(path: Path) -> bool:
    """Return whether a half-written file may belong to a process that runs, other than this one."""
    writer, _, rest = path.name[1:].partition("@")
    node = rest.rpartition("@")[0]
    if not writer.isdigit() or not node:
        return False
    written = path.stat().st_mtime
    if time.time() - written > _LEFT and now_at(path.parent) - written > _LEFT:
        return False
    return node != platform.node() or (int(writer) != os.getpid() and not has_ended(int(writer)))
