"""Files that are complete or absent: atomic writes, checksums, and a full disk reported in one line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that, even after a crash, `path` holds all of it or its old content.

    Raises StoreError where the disk is full or the folder cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise _write_error(path, len(data), error) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _write_error(path: Path, size: int, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk is full: {size / 1e6:,.1f} MB for '{path.name}' did not fit in '{path.parent}'",
            "free space for the whole run",
            "free some space or use --out on another disk, then run the same command to resume",
        )
    return StoreError(
        f"cannot write '{path}': {error.strerror}", "a folder that can be written", "choose another --out"
    )


def write_json(path: Path, value: Any) -> None:
    """Write a JSON value atomically."""
    write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; raises StoreError where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"'{path}' does not exist", "a run folder", "check the path") from None
    except (OSError, ValueError) as error:
        raise StoreError(f"'{path}' cannot be read ({error})", "JSON written by layeratlas", "remove it") from None


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep_parts(folder: Path) -> None:
    """Remove files that an earlier process left half-written in a folder."""
    for part in folder.glob(".*.part"):
        part.unlink(missing_ok=True)
