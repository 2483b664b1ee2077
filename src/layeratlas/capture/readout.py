"""Read out the residual stream at every layer as if the model ended there (early exits)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from layeratlas.capture.normalising import TRIED, Normalisers
from layeratlas.capture.threads import each
from layeratlas.capture.unembedding import TILE, TILE_GPU, Unembedding
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import CaptureError, ModelError
from layeratlas.models import LoadedModel

# Rows (a text at a layer) that are read out at once.
_ROWS, _ROWS_GPU = 1024, 8192


class Readout:
    """A model's final norm and unembedding (with its scale, softcap and bias), applied to any layer of the stream.

    With `norm=False` the final norm is applied only at the last layer, as in the readout of the published numbers
    (arXiv 2312.04333). Weights keep their dtype; log-softmax is in float32. With `exact=False` the normalisers may have
    the error that `Normalisers` allows, if that is faster. Raises ModelError if the unembedding is not one matrix, or
    does not fit the stream without the norm.
    """

    def __init__(self, model: LoadedModel, norm: bool = True, exact: bool = True) -> None:
        model.demand_here("reading exits out")
        self.anatomy, self.norm = model.anatomy, norm
        self.points = model.anatomy.n_layers + 1
        head = model.anatomy.unembedding
        if not isinstance(head, nn.Linear):
            raise ModelError(
                f"'{model.spec.id}' unembeds by a {type(head).__name__}",
                "a Linear layer",
                "use a model without adapters",
            )
        self.device, width = head.weight.device, head.weight.shape[1]
        self.unembedding = Unembedding(
            weight=head.weight,
            bias=head.bias,
            scale=model.anatomy.scale,
            softcap=model.anatomy.softcap,
            tile=TILE if self.device.type == "cpu" else TILE_GPU,
        )
        self.normalisers = Normalisers(self.unembedding, exact)
        if not norm and width != self.anatomy.width:
            raise ModelError(
                f"'{model.spec.id}' unembeds {width} numbers, and its stream has {self.anatomy.width}",
                "a stream that can be unembedded without the final norm",
                "use --set exit_norm=final",
            )

    def log_probs(self, hidden: FloatArray, points: Sequence[int], place: np.ndarray, tokens: np.ndarray) -> FloatArray:
        """Return the log-probability of `tokens[s]` at text `place[s]`, in nats; float32 (slots, points).

        `hidden`: (texts, points, d), at the layers `points`. `place` must be ascending. Raises CaptureError if a
        log-probability is not finite.
        """
        out = np.empty((len(place), hidden.shape[1]), np.float32)
        if not len(place):
            return out
        self.normalisers.prepare(hidden.shape[0] * hidden.shape[1], lambda: self._sample(hidden, points))
        normalisers = self._all_normalisers(hidden, points)

        @torch.inference_mode()
        def fill(texts: slice) -> None:
            lo, hi = np.searchsorted(place, [texts.start, texts.stop])
            ready = self._ready(hidden[texts], points)
            at = torch.from_numpy(place[lo:hi] - texts.start).to(ready.device)
            wanted = torch.from_numpy(tokens[lo:hi]).to(ready.device)
            logits = self.unembedding.of_words(ready[at], wanted[:, None])[..., 0]
            out[lo:hi] = logits.cpu().numpy() - normalisers[place[lo:hi]]

        each(fill, self._slices(hidden), self.device)
        if not np.isfinite(out).all():
            layer = points[int(np.argwhere(~np.isfinite(out))[0][1])]
            raise CaptureError(
                f"the exit at layer {layer} gave a log-probability that is not finite",
                "finite numbers",
                "load the model with --dtype float32, or use --set exit_norm=final",
            )
        return out

    @torch.inference_mode()
    def token_logits(self, hidden: FloatArray, tokens: np.ndarray) -> FloatArray:
        """Return the logits of `tokens` (texts, k) at the last layer, `hidden` (texts, d); float32 (texts, k)."""
        ready = self._ready(hidden[:, None], [self.points - 1])
        values = self.unembedding.of_words(ready, torch.from_numpy(tokens).to(ready.device))[:, 0]
        logits: FloatArray = values.cpu().numpy()
        return logits

    @torch.inference_mode()
    def all_logits(self, hidden: FloatArray, point: int) -> Tensor:
        """Return the logits of every token at layer `point`, `hidden` (texts, d); float32 (texts, V)."""
        return self.unembedding.all_logits(self._ready(hidden[:, None], [point])[:, 0])

    def best(self, hidden: FloatArray, points: Sequence[int]) -> np.ndarray:
        """Return the most likely next token of every text at the layers `points`, int64 (texts, points)."""

        @torch.inference_mode()
        def likeliest(texts: slice) -> np.ndarray:
            tokens: np.ndarray = self.unembedding.best(self._ready(hidden[texts], points)).cpu().numpy()
            return tokens

        best = each(likeliest, self._slices(hidden), self.device)
        return np.concatenate(best) if best else np.zeros(hidden.shape[:2], np.int64)

    def _all_normalisers(self, hidden: FloatArray, points: Sequence[int]) -> FloatArray:
        """Return the normaliser of every text at the layers `points`, float32 (texts, points), in nats.

        In most models the embeddings at a token are those of its id alone, so that many texts have the same ones: they
        are summed over the vocabulary once.
        """
        if points[0] or len(points) == 1:
            return self._normalisers_of(hidden, points)
        states = np.ascontiguousarray(hidden[:, 0])
        keys = states.view(np.dtype((np.void, states[0].nbytes)))[:, 0]
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        embedded = self._normalisers_of(hidden[first, :1], points[:1])
        return np.concatenate([embedded[which], self._normalisers_of(hidden[:, 1:], points[1:])], 1)

    def _normalisers_of(self, hidden: FloatArray, points: Sequence[int]) -> FloatArray:
        # The model's own output (the last layer) is always exact.
        last = torch.tensor([point == self.points - 1 for point in points])

        @torch.inference_mode()
        def add_up(texts: slice) -> FloatArray:
            ready = self._ready(hidden[texts], points)
            sums = self.normalisers(ready.flatten(0, 1), last.repeat(len(ready))).view(-1, len(points))
            values: FloatArray = sums.cpu().numpy()
            return values

        return np.concatenate(each(add_up, self._slices(hidden), self.device))

    def _slices(self, hidden: FloatArray) -> list[slice]:
        rows = _ROWS if self.device.type == "cpu" else _ROWS_GPU
        step = max(1, rows // hidden.shape[1])
        return [slice(first, first + step) for first in range(0, len(hidden), step)]

    def _sample(self, hidden: FloatArray, points: Sequence[int]) -> Tensor:
        """Return a sample of states of all layers, ready for the unembedding, to time the normalisers on."""
        texts = max(1, TRIED // hidden.shape[1])
        return self._ready(hidden[:: max(1, len(hidden) // texts)][:texts], points).flatten(0, 1)

    def _ready(self, hidden: FloatArray, points: Sequence[int]) -> Tensor:
        """Return the stream as input of the unembedding: normed, except as `norm=False` says."""
        stream = torch.from_numpy(hidden).to(self.device, self.unembedding.weight.dtype)
        normed: Tensor = self.anatomy.final_norm(stream)
        if self.norm:
            return normed
        ends = points[-1] == self.points - 1
        return torch.cat([stream[:, :-1], normed[:, -1:]], 1) if ends else stream
