"""Run texts under many edits; each pass starts at the first edited block."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.edits import Edit
from layeratlas.core.errors import CaptureError, DataError
from layeratlas.models import LoadedModel, intervene, observe
from layeratlas.models.devices import wide
from layeratlas.models.resuming import Resumable

# Takes clean logits (n, V) and the true next tokens (n,). Returns a function that maps a trial's index and its edited
# logits (n, V) to numbers (k,).
Judge = Callable[[FloatArray, NDArray[np.int64]], Callable[[int, FloatArray], Floats]]
# The most softmax values (float64) kept per batch: 512 MB.
_KEPT = 64_000_000


@dataclass(frozen=True, kw_only=True)
class PassageTokens:
    """Texts of one length as tokens, int64 (texts, tokens), and the positions whose predictions are compared."""

    ids: NDArray[np.int64]
    read: tuple[int, ...]

    @property
    def targets(self) -> NDArray[np.int64]:
        """The tokens that follow the positions read, (texts, positions)."""
        return self.ids[:, [at + 1 for at in self.read]]


def cut_passages(ids: Sequence[NDArray[np.int64]], tokens: int, read: int, first: int = 1) -> PassageTokens:
    """Cut texts to `tokens` tokens and choose `read` evenly spaced positions, from `first` on, to compare.

    Raises DataError if a text is shorter, or if there is no position to read.
    """
    short = [i for i, text in enumerate(ids) if len(text) < tokens]
    if short:
        raise DataError(
            f"text {short[0] + 1} has {len(ids[short[0]])} tokens",
            f"at least {tokens}",
            "drop it, or take fewer tokens",
        )
    if tokens < first + 2 or not ids:
        raise DataError(f"{len(ids)} texts of {tokens} tokens", f"one text or more, of {first + 2} tokens or more")
    places = np.unique(np.linspace(first, tokens - 2, min(read, tokens - 1 - first)).round().astype(int))
    tokens_of = np.stack([np.asarray(text[:tokens], np.int64) for text in ids])
    return PassageTokens(ids=tokens_of, read=tuple(places.tolist()))


def stream_sizes(model: LoadedModel, passages: PassageTokens, first: int = 1, batch_tokens: int = 2048) -> Floats:
    """Return the root mean square of the stream at every layer over positions from `first` on, (texts, L+1)."""
    rows = []
    for batch in _lines(model, passages, batch_tokens):
        # The selection may be non-linear here, since nothing is subtracted from `resid`.
        with (
            torch.inference_mode(),
            observe(model.anatomy, ["resid"], lambda h: wide(h[:, first:]).square().mean((1, 2))) as seen,
        ):
            model.run(torch.from_numpy(passages.ids[batch]))
            rows.append(torch.stack([point.sqrt() for point in seen["resid"]], 1).cpu().numpy())
    return np.concatenate(rows)


def judge_edits(
    model: LoadedModel,
    passages: PassageTokens,
    trials: Sequence[Sequence[Edit]],
    judge: Judge,
    batch_tokens: int = 2048,
) -> Iterator[tuple[int, int, Floats]]:
    """Yield (trial, text, numbers) for every trial on every text, with `judge`'s numbers for the edited logits.

    In each batch, trials are ordered by their first edited block, so that the blocks before it are computed once. Noise
    depends on the index of the text and the position. Raises ModelError for a streamed model, CaptureError if edited
    logits are not finite.
    """
    resumable = Resumable(model)
    starts = [max(0, min(min(edit.layers) for edit in edits)) if edits else model.anatomy.n_layers for edits in trials]
    order = sorted(range(len(trials)), key=lambda i: starts[i])
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for batch in _lines(model, passages, batch_tokens):
            ids = torch.from_numpy(passages.ids[batch])
            clean = _read(model, passages, resumable.stream(ids))
            judges = list(pool.map(judge, clean, passages.targets[batch]))
            at, stream = 0, resumable.stream(ids, stop=0)
            for i in order:
                stream, at = resumable.stream(ids, at, stream, stop=starts[i]), starts[i]
                with intervene(model, trials[i]) as lines:
                    lines.samples = batch
                    last = resumable.stream(ids, at, stream)
                edited = _read(model, passages, last)
                if not all(np.isfinite(logits).all() for logits in edited):
                    names = ", ".join(edit.name for edit in trials[i])
                    raise CaptureError(f"logits are not finite under {names}", "finite numbers", "use --dtype float32")
                judged = pool.map(_apply, judges, repeat(i), edited)
                yield from ((i, text, numbers) for text, numbers in zip(batch, judged, strict=True))


def _apply(judge: Callable[[int, FloatArray], Floats], trial: int, edited: FloatArray) -> Floats:
    return judge(trial, edited)


def _lines(model: LoadedModel, passages: PassageTokens, batch_tokens: int) -> Iterator[list[int]]:
    texts, tokens = passages.ids.shape
    vocabulary = int(model.anatomy.skeleton.config.vocab_size)
    lines = max(1, min(batch_tokens // tokens, _KEPT // (2 * len(passages.read) * vocabulary)))
    yield from (list(range(start, min(start + lines, texts))) for start in range(0, texts, lines))


@torch.inference_mode()
def _read(model: LoadedModel, passages: PassageTokens, stream: Tensor) -> list[FloatArray]:
    """Return each text's logits (positions, V) in float32; texts of a batch share one product with the unembedding.

    Clean and edited logits come from the same batches, so an edit without effect gives bit-identical logits.
    """
    logits = model.anatomy.logits(stream[:, list(passages.read)].flatten(0, 1))
    return list(logits.float().cpu().numpy().reshape(len(stream), len(passages.read), -1))
