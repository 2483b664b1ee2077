"""Checksums: every file that is read back is verified.

There are three forms, by where the digest is stored:

- a JSON file that is read on its own carries a `seal`, the digest of all else in it (`write_sealed`, `read_sealed`);
- a part of an unfinished stage has its digest and its name in `NAME.sha256` beside it, in the form that
  `sha256sum --check` reads (`write_checked`, `is_whole`);
- an output of a finished stage has its digest in the sealed `run.json` (`digest_of`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json, read_regular, sha256_file, write_atomic, write_json

SEAL = "seal"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes; '' if the file cannot be read."""
    try:
        return sha256_file(path)
    except OSError:
        return ""


@cache
def code_digest(*folders: str) -> str:
    """Return the SHA-256 of the modules in some folders of this package: what they computed once is theirs alone."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(path for folder in folders for path in (package / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def seal_of(value: Mapping[str, Any]) -> str:
    """Return the digest of a JSON object without its seal, independent of layout and key order."""
    as_read = json.loads(json.dumps({key: inner for key, inner in value.items() if key != SEAL}))
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()


def is_sealed(value: Any) -> bool:
    """Return whether a JSON value is an object with a matching seal."""
    return isinstance(value, dict) and SEAL in value and value[SEAL] == seal_of(value)


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its seal, atomically."""
    write_json(path, {**value, SEAL: seal_of(value)})


def read_sealed(path: Path) -> dict[str, Any]:
    """Return a sealed JSON object without its seal; raises StoreError if it is missing, unreadable or changed."""
    value = read_json(path)
    if not is_sealed(value):
        raise StoreError(
            f"'{path}' was changed or damaged after it was written",
            "a file that matches its checksum",
            "run the same command again to recompute the files that it lists",
        )
    return {key: inner for key, inner in value.items() if key != SEAL}


def read_vouched(path: Path, todo: str) -> dict[str, Any]:
    """Return a JSON object, checked by any seal; raises StoreError, with advice `todo`, if it is damaged."""
    value = read_json(path)
    if not isinstance(value, dict) or (SEAL in value and not is_sealed(value)):
        raise StoreError(
            f"'{path}' was changed or damaged after it was written", "a file that matches its checksum", todo
        )
    return value


def check_digest(path: Path, digest: str, todo: str) -> None:
    """Raise StoreError, with advice `todo`, if a file does not have that digest."""
    if digest_of(path) != digest:
        raise StoreError(
            f"'{path}' was changed or damaged after it was written", "the file whose checksum was kept", todo
        )


def write_checked(path: Path, data: bytes) -> None:
    """Write a file and then its checksum, which makes it valid."""
    write_atomic(path, data)
    write_atomic(_sidecar(path), _line(path, hashlib.sha256(data).hexdigest()).encode())


def is_whole(path: Path) -> bool:
    """Return whether a file matches its checksum; False for a directory or a missing file."""
    digest = digest_of(path)
    try:
        return digest != "" and read_regular(_sidecar(path)) == _line(path, digest).encode()
    except OSError:
        return False


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _line(path: Path, digest: str) -> str:
    return f"{digest}  {path.name}\n"
