"""The in-memory store: the simplest implementation of the contract, and the reference for the disk store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.core.arrays import FloatArray
from layeratlas.store.contract import Shape, Store, check_complete, check_request, check_shard, unseen


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

    def holds(self, rows: Sequence[int]) -> bool:
        """Return whether each of the texts `rows` has a vector at every layer of every component."""
        return all(bool(seen[list(rows)].all()) for seen in self._seen.values())

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Store a shard."""
        for component, (start, stop) in check_shard(self.shape, rows, values, first).items():
            self._values[component][list(rows), start:stop] = values[component]
            self._seen[component][list(rows), start:stop] = True
        self._done.add(key)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width)."""
        check_request(self.shape, component, layer)
        check_complete(self._seen[component][:, layer])
        return self._values[component][:, layer].copy()
