"""The contract of a store of vectors, and the checks that every store makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray, Ints
from layeratlas.core.errors import StoreError
from layeratlas.core.turns import ALONE, Turns


@dataclass(frozen=True)
class Shape:
    """What a store holds: `texts` vectors per component and layer, each of `width` numbers.

    `points` maps a component to its number of layers: L+1 for `resid`, L for `attn` and `mlp`.
    """

    texts: int
    width: int
    points: Mapping[str, int]


class Store(ABC):
    """Vectors by component, layer and text, written in shards; only whole shards are read.

    A shard is named by its content key, so that a resumed run knows which shards are finished. `write` is atomic: after
    a crash a shard is either whole or absent. `turns` says which processes write into the store.
    """

    shape: Shape
    turns: Turns = ALONE

    @abstractmethod
    def finished(self) -> set[str]:
        """Return the keys of the shards that are whole."""

    def gather(self, keys: Iterable[str] | None = None) -> None:  # noqa: B027 - most stores belong to one process
        """Take in those of the named shards that other processes have written; by default all."""

    @abstractmethod
    def holds(self, rows: Sequence[int]) -> bool:
        """Return whether each of the texts `rows` has a vector at every layer of every component."""

    def complete(self) -> bool:
        """Return whether every text has a vector at every layer of every component."""
        return self.holds(range(self.shape.texts))

    @abstractmethod
    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Store `values[component]`, shape (len(rows), layers, width), for the texts `rows`.

        Without `first`, a shard holds every layer of every component. With it, a shard holds some components, each from
        layer `first[component]` on.
        """

    @abstractmethod
    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width); raises StoreError if a text is missing."""

    def read_layers(self, component: str, layers: Sequence[int], rows: Ints) -> FloatArray:
        """Return float32 of shape (len(layers), len(rows), width): some texts at some layers, in any order.

        Raises StoreError if one of these texts is missing. A store on disk opens only the shards that hold them, once.
        """
        return np.stack([self.read(component, layer)[rows] for layer in layers])

    def parts(self, component: str, layer: int) -> Iterator[tuple[Ints, FloatArray]]:
        """Yield the result of `read` in chunks: text numbers (m,) and their vectors (m, width), each text once.

        A store on disk holds one chunk in memory at a time.
        """
        yield np.arange(self.shape.texts), self.read(component, layer)


def unseen(shape: Shape) -> dict[str, NDArray[np.bool_]]:
    """Return, for each component, an array (texts, points) of False, to mark which vectors a store has received."""
    return {c: np.zeros((shape.texts, points), dtype=bool) for c, points in shape.points.items()}


def check_shard(
    shape: Shape, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None
) -> dict[str, tuple[int, int]]:
    """Return which layers of each component a shard holds; raise StoreError if the shard does not fit the store."""
    layers = {}
    for component, points in shape.points.items():
        if first is not None and component not in values:
            continue
        shown = values[component].shape if component in values else None
        start = (first or {}).get(component, 0)
        stop = start + shown[1] if first is not None and shown is not None else points
        expected = (len(rows), stop - start, shape.width)
        if shown != expected or not 0 <= start < stop <= points:
            raise StoreError(f"a shard's '{component}' has the shape {shown}", str(expected))
        layers[component] = (start, stop)
    if set(values) - set(shape.points):
        raise StoreError(f"a shard holds {sorted(values)}", str(sorted(shape.points)))
    return layers


def check_request(shape: Shape, component: str, layer: int) -> None:
    """Raise StoreError if the store has no such component or layer."""
    if component not in shape.points:
        raise StoreError(f"no component '{component}'", f"one of {', '.join(shape.points)}")
    if not 0 <= layer < shape.points[component]:
        raise StoreError(f"no layer {layer} in '{component}'", f"0 to {shape.points[component] - 1}")


def check_complete(seen: np.ndarray) -> None:
    """Raise StoreError if a text has no vector."""
    if not seen.all():
        raise StoreError(
            f"{int((~seen).sum())} of {len(seen)} texts have no activations (the first is text {np.argmin(seen) + 1})",
            "a finished capture",
            "run the same command again to resume",
        )
