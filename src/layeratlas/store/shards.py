"""Small files of numbers that a stage can find again after a stop: whole, and of this run, or computed anew."""

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
    """Write arrays atomically, with the run's key, a digest of their bytes and notes, which JSON can hold."""
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_atomic(path, save(whole, metadata={"key": key, "sha256": _digest(whole), "notes": json.dumps(notes)}))


def read_shard(path: Path, key: str) -> Tensors | None:
    """Return the arrays of a shard; None where it is missing, damaged or of another run."""
    try:
        return load_shard(path, key)[0]
    except StoreError:
        return None


def load_shard(path: Path, key: str) -> tuple[Tensors, Any]:
    """Return the arrays of a shard and its notes; raises StoreError where it is missing, damaged or of another run."""
    try:
        with safe_open(path, framework="np") as file:
            known = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        if (known["key"], known["sha256"]) == (key, _digest(tensors)):
            return tensors, json.loads(known["notes"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    raise _damaged(path)


def _damaged(path: Path) -> StoreError:
    return StoreError(
        f"'{path}' is missing, damaged or of another run",
        "a whole file of this run",
        "remove it and run the same command again",
    )


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()
