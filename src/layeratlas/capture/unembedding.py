"""The unembedding in tiles: logits of some words, and the normaliser over all of them."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Words per tile. The vocabulary is processed in tiles: writing all logits to memory and reading them back several times
# takes longer than the product itself.
TILE, TILE_GPU = 1024, 16384
# Sums are of powers of two: on an EPYC torch's `exp` takes three times as long as its `exp2`.
_TO_BITS = math.log2(math.e)


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
        """Return the logits of the tile that begins with word `first`, float32 (..., words), of states (..., d).

        States in oneDNN's layout are multiplied by oneDNN.
        """
        words = slice(first, first + self.tile)
        product = functional.linear(ready, self.weight[words], None if self.bias is None else self.bias[words])
        return self.finish(product.to_dense() if product.is_mkldnn else product)

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
        tiles = self._each_tile(ready)
        first = next(tiles)
        taken = first.amax(-1)
        total = _sum_of_exponentials(first, taken)
        for logits in tiles:
            total += _sum_of_exponentials(logits, taken)
        normaliser = taken + total.log()
        over = torch.isinf(total)
        if over.any():
            normaliser[over] = self._largest_first(ready[over])
        return normaliser

    def _each_tile(self, ready: Tensor) -> Iterator[Tensor]:
        """Yield the logits of every tile, of states (n, d)."""
        given = ready.to_mkldnn() if _suits_onednn(ready, self.weight) else ready
        for at in self.tiles:
            yield self.logits(given, at)

    def _largest_first(self, ready: Tensor) -> Tensor:
        """As `normaliser`, for logits of any range: subtract the running maximum."""
        most = torch.full((len(ready),), -torch.inf, device=ready.device)
        total = torch.zeros_like(most)
        for logits in self._each_tile(ready):
            above = torch.maximum(most, logits.amax(-1))
            total = total * (most - above).exp() + logits.sub_(above[:, None]).exp_().sum(-1)
            most = above
        return most + total.log()


def _sum_of_exponentials(logits: Tensor, taken: Tensor) -> Tensor:
    """Return the sum of exp(logits - taken), (n,), of logits (n, words), which are overwritten."""
    return logits.sub_(taken[:, None]).mul_(_TO_BITS).exp2_().sum(-1)


def _suits_onednn(ready: Tensor, weight: Tensor) -> bool:
    """Return whether oneDNN multiplies these: float32 on an x86 CPU, whose every instruction it uses whoever made it.

    MKL, which torch takes otherwise, does not: on an EPYC its products take 1.1 times as long.
    """
    if ready.device.type != "cpu" or platform.machine() not in ("x86_64", "AMD64") or not len(ready):
        return False
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return available and ready.dtype is weight.dtype is torch.float32
