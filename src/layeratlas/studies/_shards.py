"""Small files of numbers that a stage can find again after a stop: whole, and of this run, or computed anew."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from layeratlas.files import write_atomic

Tensors = dict[str, NDArray[Any]]


def write_shard(path: Path, key: str, tensors: Tensors) -> None:
    """Write arrays atomically, with the run's key and a digest of their bytes."""
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_atomic(path, save(whole, metadata={"key": key, "sha256": _digest(whole)}))


def read_shard(path: Path, key: str) -> Tensors | None:
    """Return the arrays of a shard; None where it is missing, damaged or of another run."""
    try:
        with safe_open(path, framework="np") as file:
            known = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        return tensors if (known["key"], known["sha256"]) == (key, _digest(tensors)) else None
    except (OSError, SafetensorError, KeyError, TypeError):
        return None


def _digest(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()
