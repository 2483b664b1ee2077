"""The in-memory store: the plainest thing that keeps the contract, which the disk store must equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.contracts import FloatArray, Shape, Store
from layeratlas.errors import StoreError


class MemoryStore(Store):
    """Vectors in one array per component."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._done: set[str] = set()
        self._seen = np.zeros(shape.texts, dtype=bool)
        self._values = {
            c: np.zeros((shape.texts, points, shape.width), np.float32) for c, points in shape.points.items()
        }

    def finished(self) -> set[str]:
        """Return the keys of the shards written so far."""
        return set(self._done)

    def write(self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray]) -> None:
        """Keep a shard."""
        check_shard(self.shape, rows, values)
        for component, array in values.items():
            self._values[component][list(rows)] = array
        self._seen[list(rows)] = True
        self._done.add(key)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width)."""
        check_request(self.shape, component, layer)
        check_complete(self._seen)
        return self._values[component][:, layer].copy()


def check_shard(shape: Shape, rows: Sequence[int], values: Mapping[str, FloatArray]) -> None:
    """Raise StoreError where a shard does not fit the store."""
    for component, points in shape.points.items():
        found = values[component].shape if component in values else None
        expected = (len(rows), points, shape.width)
        if found != expected:
            raise StoreError(f"a shard's '{component}' has the shape {found}", str(expected))
    if set(values) - set(shape.points):
        raise StoreError(f"a shard holds {sorted(values)}", str(sorted(shape.points)))


def check_request(shape: Shape, component: str, layer: int) -> None:
    """Raise StoreError where the store cannot hold what is asked for."""
    if component not in shape.points:
        raise StoreError(f"no component '{component}'", f"one of {', '.join(shape.points)}")
    if not 0 <= layer < shape.points[component]:
        raise StoreError(f"no layer {layer} in '{component}'", f"0 to {shape.points[component] - 1}")


def check_complete(seen: np.ndarray) -> None:
    """Raise StoreError where some text has no vector."""
    if not seen.all():
        raise StoreError(
            f"{int((~seen).sum())} of {len(seen)} texts have no activations (the first is text {np.argmin(seen) + 1})",
            "a finished capture",
            "run the same command again to resume",
        )
