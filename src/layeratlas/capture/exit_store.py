"""Convert vectors to log-probabilities as they arrive, so that no vector is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.choices import Slots
from layeratlas.capture.readout import Readout
from layeratlas.core.arrays import FloatArray
from layeratlas.store.contract import Shape, Store


def exit_shape(readout: Readout, slots: Slots, exits: Sequence[int] = ()) -> Shape:
    """Return the shape of an ExitStore's inner store: one number per slot and exit."""
    return Shape(len(slots.tokens), 1, {"resid": len(exits) or readout.points})


class ExitStore(Store):
    """A store that receives the residual stream and keeps log-probabilities of the wanted tokens in `inner`.

    `inner` (in memory or on disk, of `exit_shape`) decides which shards are whole and which are finished. `read`
    returns (slots, 1) instead of a vector per text. `exits`, ascending, are the layers that are read out: all by
    default, or only the last for the model's own output.
    """

    def __init__(self, inner: Store, readout: Readout, slots: Slots, exits: Sequence[int] = ()) -> None:
        self.inner, self.readout, self.slots, self.turns = inner, readout, slots, inner.turns
        self.exits = list(exits) or list(range(readout.points))
        self.shape = Shape(len(slots.readings), readout.anatomy.width, {"resid": readout.points})

    @property
    def folder(self) -> Path | None:
        """Where the inner store keeps its shards, if on disk."""
        return getattr(self.inner, "folder", None)

    def finished(self) -> set[str]:
        """Return the keys of the shards that are whole."""
        return self.inner.finished()

    def gather(self, keys: Iterable[str] | None = None) -> None:
        """Take in those of the named shards that other processes have written; by default all."""
        self.inner.gather(keys)

    def holds(self, rows: Sequence[int]) -> bool:
        """Return whether each slot of the texts `rows` has a number at every exit."""
        return self.inner.holds(self.slots.of(rows)[0].tolist())

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Compute the log-probabilities of a shard of the residual stream and store them."""
        start = (first or {}).get("resid", 0)
        chosen, place = self.slots.of(rows)
        tokens, stream = self.slots.tokens[chosen], values["resid"]
        here = [i for i, point in enumerate(self.exits) if start <= point < start + stream.shape[1]]
        if here:
            points = [self.exits[i] for i in here]
            asked = stream if len(points) == stream.shape[1] else stream[:, [point - start for point in points]]
            log_probs = self.readout.log_probs(asked, points, place, tokens)
            at = None if first is None else {"resid": here[0]}
            self.inner.write(key, chosen.tolist(), {"resid": log_probs[:, :, None]}, at)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return the log-probability of every slot at an exit, float32 (slots, 1)."""
        return self.inner.read(component, layer)

    def log_likelihoods(self) -> NDArray[np.float64]:
        """Return the log-likelihood of every continuation at every exit, (continuations, exits) in nats."""
        points = range(self.inner.shape.points["resid"])
        values = np.concatenate([self.inner.read("resid", point) for point in points], 1)
        return self.slots.sums(values.astype(np.float64))
