"""Vectors turned into log-probabilities as they arrive, so that only small numbers are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.choices import Slots
from layeratlas.capture.readout import Readout
from layeratlas.contracts import FloatArray, Shape, Store


def exit_shape(readout: Readout, slots: Slots) -> Shape:
    """Return the shape of the store that an ExitStore keeps its numbers in: one a slot and exit."""
    return Shape(len(slots.tokens), 1, {"resid": readout.points})


class ExitStore(Store):
    """A store that takes the residual stream at readings and keeps, in `inner`, log-probabilities of wanted tokens.

    `inner` (in memory or on disk, of `exit_shape`) decides what is whole and what is finished. `read` returns
    (slots, 1) instead of a vector for each text.
    """

    def __init__(self, inner: Store, readout: Readout, slots: Slots) -> None:
        self.inner, self.readout, self.slots = inner, readout, slots
        self.shape = Shape(len(slots.readings), readout.anatomy.width, {"resid": readout.points})

    @property
    def folder(self) -> Path | None:
        """Where the inner store keeps its shards, if on disk."""
        return getattr(self.inner, "folder", None)

    def finished(self) -> set[str]:
        """Return the keys of the shards that are whole."""
        return self.inner.finished()

    def complete(self) -> bool:
        """Return whether every slot has a number at every exit."""
        return self.inner.complete()

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Read a shard of the stream out and keep its log-probabilities."""
        start = (first or {}).get("resid", 0)
        chosen, place = self.slots.of(rows)
        found = self.readout.log_probs(values["resid"], start, place, self.slots.tokens[chosen])
        self.inner.write(key, chosen.tolist(), {"resid": found[:, :, None]}, first)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return the log-probability of every slot at an exit, float32 (slots, 1)."""
        return self.inner.read(component, layer)

    def log_likelihoods(self) -> NDArray[np.float64]:
        """Return the log-likelihood of every continuation at every exit, (continuations, L + 1) in nats."""
        points = range(self.readout.points)
        values = np.concatenate([self.inner.read("resid", point) for point in points], 1)
        return self.slots.sums(values.astype(np.float64))
