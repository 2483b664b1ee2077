"""Every point of the residual stream read out as if the model ended there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from layeratlas.capture.threads import each
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import CaptureError, ModelError
from layeratlas.models import LoadedModel

# The vocabulary goes by in tiles: logits of all of it would be written to memory and read back several times, which
# takes longer than the product itself.
_ROWS, _TILE = 1024, 1024
_ROWS_GPU, _TILE_GPU = 8192, 16384


class Readout:
    """A model's final norm and unembedding (with its scale, softcap and bias) at any point of the stream.

    With `norm=False` the norm is left out but at the last point, which then reads as the model itself does: the
    readout of the published numbers (arXiv 2312.04333). Weights keep their dtype; log-softmax is in float32. Raises
    ModelError where the unembedding does not fit the stream without the norm, or is not one matrix.
    """

    def __init__(self, model: LoadedModel, norm: bool = True) -> None:
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
        self.weight, self.bias = head.weight, head.bias
        self.vocabulary, width = head.weight.shape
        self._rows, self._tile = (_ROWS, _TILE) if head.weight.device.type == "cpu" else (_ROWS_GPU, _TILE_GPU)
        if not norm and width != self.anatomy.width:
            raise ModelError(
                f"'{model.spec.id}' unembeds {width} numbers, and its stream has {self.anatomy.width}",
                "a stream that can be unembedded without the final norm",
                "use --set exit_norm=final",
            )

    def log_probs(self, hidden: FloatArray, start: int, place: np.ndarray, tokens: np.ndarray) -> FloatArray:
        """Return the log-probability of `tokens[s]` at text `place[s]`, in nats; float32 (slots, points).

        `hidden`: (texts, points, d), whose first point is `start`; `place` ascends. Raises CaptureError where one is
        not finite.
        """
        out = np.empty((len(place), hidden.shape[1]), np.float32)

        @torch.inference_mode()
        def fill(texts: slice) -> None:
            lo, hi = np.searchsorted(place, [texts.start, texts.stop])
            if lo == hi:
                return
            ready = self._ready(hidden[texts], start)
            normaliser = self._normaliser(ready.flatten(0, 1)).view(-1, hidden.shape[1])
            at = torch.from_numpy(place[lo:hi] - texts.start).to(ready.device)
            wanted = torch.from_numpy(tokens[lo:hi]).to(ready.device)
            logits = torch.einsum("spd,sd->sp", ready[at], self.weight[wanted])
            if self.bias is not None:
                logits = logits + self.bias[wanted][:, None]
            out[lo:hi] = (self._finish(logits) - normaliser[at]).cpu().numpy()

        each(fill, self._slices(hidden), self.weight.device)
        if not np.isfinite(out).all():
            layer = start + int(np.argwhere(~np.isfinite(out))[0][1])
            raise CaptureError(
                f"the exit at layer {layer} gave a log-probability that is not finite",
                "finite numbers",
                "load the model with --dtype float32, or use --set exit_norm=final",
            )
        return out

    @torch.inference_mode()
    def token_logits(self, hidden: FloatArray, tokens: np.ndarray) -> FloatArray:
        """Return the logits of `tokens` (texts, k) at the last point `hidden` (texts, d); float32 (texts, k)."""
        ready = self._ready(hidden[:, None], self.points - 1)[:, 0]
        wanted = torch.from_numpy(tokens).to(ready.device)
        logits = torch.einsum("nd,nkd->nk", ready, self.weight[wanted])
        if self.bias is not None:
            logits = logits + self.bias[wanted]
        values: FloatArray = self._finish(logits).cpu().numpy()
        return values

    @torch.inference_mode()
    def all_logits(self, hidden: FloatArray, point: int) -> Tensor:
        """Return the logits of every token at one point `hidden` (texts, d); float32 (texts, V)."""
        ready = self._ready(hidden[:, None], point)[:, 0]
        return self._finish(functional.linear(ready, self.weight, self.bias))

    def best(self, hidden: FloatArray, start: int) -> np.ndarray:
        """Return the likeliest next token at every text and point, int64 (texts, points)."""

        @torch.inference_mode()
        def likeliest(texts: slice) -> np.ndarray:
            ready = self._ready(hidden[texts], start)
            tiles = [self._logits(ready, at).max(-1) for at in range(0, self.vocabulary, self._tile)]
            tile = torch.stack([t.values for t in tiles]).argmax(0)
            inside = torch.stack([t.indices for t in tiles]).gather(0, tile[None])[0]
            tokens: np.ndarray = (tile * self._tile + inside).cpu().numpy()
            return tokens

        best = each(likeliest, self._slices(hidden), self.weight.device)
        return np.concatenate(best) if best else np.zeros(hidden.shape[:2], np.int64)

    def _slices(self, hidden: FloatArray) -> list[slice]:
        step = max(1, self._rows // hidden.shape[1])
        return [slice(first, first + step) for first in range(0, len(hidden), step)]

    def _ready(self, hidden: FloatArray, start: int) -> Tensor:
        """Return the stream as the unembedding takes it."""
        stream = torch.from_numpy(hidden).to(self.weight.device, self.weight.dtype)
        normed: Tensor = self.anatomy.final_norm(stream)
        if self.norm:
            return normed
        ends = start + hidden.shape[1] == self.points
        return torch.cat([stream[:, :-1], normed[:, -1:]], 1) if ends else stream

    def _normaliser(self, ready: Tensor) -> Tensor:
        """Return the log of the sum of exponentials over the vocabulary, float32 (n,).

        What is taken off before `exp` need not be the largest logit, only near it: that of the first tile saves a pass
        over all others. Rows where it is too far below are done again.
        """
        first = self._logits(ready, 0)
        taken = first.amax(-1)
        total = first.sub_(taken[:, None]).exp_().sum(-1)
        for at in range(self._tile, self.vocabulary, self._tile):
            total += self._logits(ready, at).sub_(taken[:, None]).exp_().sum(-1)
        normaliser = taken + total.log()
        over = torch.isinf(total)
        if over.any():
            normaliser[over] = self._largest_first(ready[over])
        return normaliser

    def _largest_first(self, ready: Tensor) -> Tensor:
        """As `_normaliser`, for logits of any range: the largest so far is what is taken off."""
        most = torch.full((len(ready),), -torch.inf, device=ready.device)
        total = torch.zeros_like(most)
        for at in range(0, self.vocabulary, self._tile):
            logits = self._logits(ready, at)
            above = torch.maximum(most, logits.amax(-1))
            total = total * (most - above).exp() + logits.sub_(above[:, None]).exp_().sum(-1)
            most = above
        return most + total.log()

    def _logits(self, ready: Tensor, at: int) -> Tensor:
        bias = None if self.bias is None else self.bias[at : at + self._tile]
        return self._finish(functional.linear(ready, self.weight[at : at + self._tile], bias))

    def _finish(self, logits: Tensor) -> Tensor:
        """Scale and cap, as the model does, in its dtype; then float32."""
        if self.anatomy.scale != 1.0:
            logits = logits * self.anatomy.scale
        if self.anatomy.softcap is not None:
            logits = torch.tanh(logits / self.anatomy.softcap) * self.anatomy.softcap
        return logits.float()
