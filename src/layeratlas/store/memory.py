"""The in-memory store: the plainest thing that keeps the contract, which the disk store must equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import StoreError
from layeratlas.store.contract import Shape, Store


class MemoryStore(Store):
    """Vectors in one array per component."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._done: set[str] = set()
        self._seen = unseen(shape)
        self._values = {
            c: np.zeros((shape.texts, points, shape.width), np.float32) for c, points in shape.points.items()
        }

    def finished(self) -> set[str]:
        """Return the keys of the shards written so far."""
        return set(self._done)

    def complete(self) -> bool:
        """Return whether nothing is missing."""
        return all(bool(seen.all()) for seen in self._seen.values())

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Keep a shard."""
        for component, (start, stop) in check_shard(self.shape, rows, values, first).items():
            self._values[component][list(rows), start:stop] = values[component]
            self._seen[component][list(rows), start:stop] = True
        self._done.add(key)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width)."""
        check_request(self.shape, component, layer)
        check_complete(self._seen[component][:, layer])
        return self._values[component][:, layer].copy()


def unseen(shape: Shape) -> dict[str, NDArray[np.bool_]]:
    """Return, for each component, (texts, points) of False: what a store has got so far."""
    return {c: np.zeros((shape.texts, points), dtype=bool) for c, points in shape.points.items()}


def check_shard(
    shape: Shape, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None
) -> dict[str, tuple[int, int]]:
    """Return which layers of each component a shard holds; raise StoreError where it does not fit the store."""
    found = {}
    for component, points in shape.points.items():
        if first is not None and component not in values:
            continue
        shown = values[component].shape if component in values else None
        start = (first or {}).get(component, 0)
        stop = start + shown[1] if first is not None and shown is not None else points
        expected = (len(rows), stop - start, shape.width)
        if shown != expected or not 0 <= start < stop <= points:
            raise StoreError(f"a shard's '{component}' has the shape {shown}", str(expected))
        found[component] = (start, stop)
    if set(values) - set(shape.points):
        raise StoreError(f"a shard holds {sorted(values)}", str(sorted(shape.points)))
    return found


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
