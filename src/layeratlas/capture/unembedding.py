"""The unembedding in tiles: logits of some words, and the normaliser over all of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Words per tile. The vocabulary is processed in tiles: writing all logits to memory and reading them back several times
# takes longer than the product itself.
TILE, TILE_GPU = 1024, 16384


@dataclass(frozen=True, kw_only=True)
class Unembedding:
    """A matrix (V, d) with its bias (V,), followed by a scale and a softcap; weights keep their dtype."""

    weight: Tensor
    bias: Tensor | None
    scale: float
    softcap: float | None
    tile: int = TILE

    @property
    def vocabulary(self) -> int:
        """The number of words, V."""
        return self.weight.shape[0]

    @property
    def tiles(self) -> range:
        """The index of the first word of each tile."""
        return range(0, self.vocabulary, self.tile)

    def logits(self, ready: Tensor, first: int) -> Tensor:
        """Return the logits of the tile that begins with word `first`, float32 (..., words), of states (..., d)."""
        words = slice(first, first + self.tile)
        return self.finish(
            functional.linear(ready, self.weight[words], None if self.bias is None else self.bias[words])
        )

    def all_logits(self, ready: Tensor) -> Tensor:
        """Return the logits of every word, float32 (..., V)."""
        return self.finish(functional.linear(ready, self.weight, self.bias))

    def of_words(self, ready: Tensor, words: Tensor) -> Tensor:
        """Return the logits of some words (n, k), float32 (n, p, k), of normed states (n, p, d)."""
        logits = torch.einsum("npd,nkd->npk", ready, self.weight[words])
        return self.finish(logits if self.bias is None else logits + self.bias[words][:, None])

    def best(self, ready: Tensor) -> Tensor:
        """Return the word with the largest logit, int64 (...), of normed states (..., d)."""
        tiles = [self.logits(ready, at).max(-1) for at in self.tiles]
        tile = torch.stack([t.values for t in tiles]).argmax(0)
        inside = torch.stack([t.indices for t in tiles]).gather(0, tile[None])[0]
        words: Tensor = tile * self.tile + inside
        return words

    def finish(self, logits: Tensor) -> Tensor:
        """Apply scale and softcap in the model's dtype, as the model does; then convert to float32."""
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits.float()

    def normaliser(self, ready: Tensor) -> Tensor:
        """Return the log of the sum of exponentials over the vocabulary, float32 (n,), of normed states (n, d).

        The value subtracted before `exp` need only be near the largest logit; using the first tile's largest saves a
        pass over all others. Rows that overflow are computed again.
        """
        first = self.logits(ready, 0)
        taken = first.amax(-1)
        total = first.sub_(taken[:, None]).exp_().sum(-1)
        for at in self.tiles[1:]:
            total += self.logits(ready, at).sub_(taken[:, None]).exp_().sum(-1)
        normaliser = taken + total.log()
        over = torch.isinf(total)
        if over.any():
            normaliser[over] = self._largest_first(ready[over])
        return normaliser

    def _largest_first(self, ready: Tensor) -> Tensor:
        """As `normaliser`, for logits of any range: subtract the running maximum."""
        most = torch.full((len(ready),), -torch.inf, device=ready.device)
        total = torch.zeros_like(most)
        for at in self.tiles:
            logits = self.logits(ready, at)
            above = torch.maximum(most, logits.amax(-1))
            total = total * (most - above).exp() + logits.sub_(above[:, None]).exp_().sum(-1)
            most = above
        return most + total.log()
