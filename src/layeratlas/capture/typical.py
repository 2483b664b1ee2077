"""The typical value of a component at each block: its mean vector, for `mean` edits, and its root mean square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import SpecError
from layeratlas.core.spec import Component
from layeratlas.models import LoadedModel, observe


@dataclass(frozen=True)
class Typical:
    """The typical value of one component: `means` (L, d) float32 and root mean squares `sizes` (L,).

    Both are taken over texts and positions. For `resid`, row l is the output of block l.
    """

    means: FloatArray
    sizes: NDArray[np.float64]

    def vectors(self, kind: str, seed: int) -> FloatArray:
        """Return the vectors of the edits `mean` and `translate` at each block, (L, d).

        A translation has one random direction, drawn from the seed and the same at every block. At strength 1 its root
        mean square equals the component's at that block.
        """
        if kind == "mean":
            return self.means
        way = np.random.default_rng([seed, 37]).standard_normal((self.means.shape[1],))
        way /= np.sqrt((way**2).mean())
        moved: FloatArray = (self.sizes[:, None] * way).astype(np.float32)
        return moved


@torch.inference_mode()
def typical(model: LoadedModel, ids: Sequence[Sequence[int]], component: Component, first: int = 1) -> Typical:
    """Read texts (token ids) at positions from `first` on; raises SpecError if no text has such a position."""
    layers, width = model.anatomy.n_layers, model.anatomy.width
    total, squares, count = np.zeros((layers, width)), np.zeros(layers), 0
    for text in ids:
        # Squares are taken afterwards, since the selection must be linear.
        with observe(model.anatomy, [component], lambda h: h[:, first:]) as seen:
            model.run(torch.tensor([list(text)]))
        states = torch.stack([states[0] for states in seen[component][-layers:]]).cpu().double().numpy()
        total += states.sum(1)
        squares += (states**2).mean(2).sum(1)
        count += states.shape[1]
    if not count:
        raise SpecError("no text is longer than the positions left out", "texts of two tokens or more")
    return Typical((total / count).astype(np.float32), np.sqrt(squares / count))
