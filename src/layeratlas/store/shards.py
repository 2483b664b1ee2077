"""Small files of numbers from which an interrupted stage resumes; damaged or foreign files are ignored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_atomic

Tensors = dict[str, NDArray[Any]]


def write_shard(path: Path, key: str, tensors: Tensors, notes: object = None) -> None:
    """Write arrays atomically, with the run's key, JSON-able notes, and a digest of everything.

    The digest covers the file's name, the key, the notes, and each array's name, dtype, shape and bytes. It therefore
    also detects two swapped files.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    known = {"key": key, "notes": json.dumps(notes)}
    write_atomic(path, save(whole, metadata=known | {"sha256": _digest(path.name, known, whole)}))


def read_shard(path: Path, key: str) -> Tensors | None:
    """Return the arrays of a shard; None if it is missing, damaged or of another run."""
    try:
        return load_shard(path, key)[0]
    except StoreError:
        return None


def load_shard(path: Path, key: str) -> tuple[Tensors, Any]:
    """Return the arrays of a shard and its notes; raises StoreError if it is missing, damaged or of another run."""
    try:
        with safe_open(path, framework="np") as file:
            known = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if known["key"] == key and known.pop("sha256") == _digest(path.name, known, tensors):
            return tensors, json.loads(known["notes"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    raise _damaged(path)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"'{path}' is missing, damaged or of another run",
        "a whole file of this run",
        "run the same command again, which recomputes it",
    )


def _digest(name: str, known: dict[str, str], tensors: Tensors) -> str:
    header = [[key, array.dtype.str, array.shape] for key, array in sorted(tensors.items())]
    digest = hashlib.sha256(json.dumps([name, sorted(known.items()), header]).encode())
    for _, array in sorted(tensors.items()):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
