"""What a store of vectors promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layeratlas.core.arrays import FloatArray


@dataclass(frozen=True)
class Shape:
    """What a store holds: `texts` vectors per component and layer, each of `width` numbers.

    `points` maps a component to its number of layers: L+1 for `resid`, L for `attn` and `mlp`.
    """

    texts: int
    width: int
    points: Mapping[str, int]


class Store(ABC):
    """Vectors by component, layer and text; written in shards, trusted only when whole.

    A shard is named by its content key, so that a resumed run knows which ones are finished. `write` is atomic:
    after a crash a shard is there and whole, or not there.
    """

    shape: Shape

    @abstractmethod
    def finished(self) -> set[str]:
        """Return the keys of the shards that are whole."""

    @abstractmethod
    def complete(self) -> bool:
        """Return whether every text has a vector at every layer of every component."""

    @abstractmethod
    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Keep `values[component]`, shape (len(rows), layers, width), for the texts `rows`.

        Without `first`, a shard holds every layer of every component. With it, some components, each from layer
        `first[component]` on.
        """

    @abstractmethod
    def read(self, component: str, layer: int) -> FloatArray:
        """Return float32 of shape (texts, width); raises StoreError where a text is missing."""
