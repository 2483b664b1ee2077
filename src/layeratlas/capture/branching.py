"""Read many copies of a prompt's last token in one pass, each with a different vector added to its residual stream.

The copies are siblings in a prefix trie: they share the preceding tokens, which are computed once, and do not attend to
each other. A prompt of 10 tokens with 60 edits then costs 70 tokens instead of 600.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from layeratlas.capture.masks import Form, tree_mask
from layeratlas.capture.packing import prove
from layeratlas.capture.plan import Batch
from layeratlas.capture.proofs import Extent
from layeratlas.capture.readout import Readout
from layeratlas.core.arrays import FloatArray, Ints
from layeratlas.core.errors import CaptureError
from layeratlas.models import LoadedModel, observe
from layeratlas.models.displacing import Displacement, displace

Ids = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Branched:
    """A prompt, the vectors added to copies of its last token, and the next tokens that are compared.

    `ids`: the prompt. `points` (m,): the layer at which each copy is edited. `vectors` (m, d): the vectors added there.
    `answers` (k,): the next tokens.
    """

    ids: Ids
    points: Ints
    vectors: FloatArray
    answers: Ids

    @property
    def copies(self) -> int:
        """The number of last tokens that are read: the unedited one, and one per edit."""
        return 1 + len(self.points)


class Brancher:
    """Runs prompts with edited copies of their last token; `how` says whether and why copies share one line."""

    def __init__(self, model: LoadedModel, prompts: Sequence[Branched], batch_tokens: int) -> None:
        self._model, self._readout, self._batch_tokens = model, Readout(model), batch_tokens
        line = max(len(p.ids) + p.copies for p in prompts)
        lengths = [len(p.ids) for p in prompts]
        extent = Extent(line=line, longest=max(lengths), shortest=min(lengths))
        self._form, self.how = prove(model, extent)

    def logits(self, prompts: Sequence[Branched]) -> Iterator[tuple[int, FloatArray]]:
        """Yield (index of the prompt, logits of its answers (copies, k)); row 0 is the unedited prompt.

        Raises CaptureError if a logit is not finite, ModelError for a streamed model.
        """
        for members in self._batches(prompts):
            chosen = [prompts[i] for i in members]
            batch = _shared(chosen, members) if self._form != "padding" else _apart(chosen[0], members[0])
            values = self._run(batch, chosen, self._form)
            start = 0
            for i, prompt in zip(members, chosen, strict=True):
                part = values[start : start + prompt.copies]
                start += prompt.copies
                answers = np.tile(np.array(prompt.answers, np.int64), (prompt.copies, 1))
                yield i, _finite(self._readout.token_logits(part, answers), i)

    def _batches(self, prompts: Sequence[Branched]) -> Iterator[list[int]]:
        """Yield the prompts that share a pass: several, or one prompt at a time if its copies need separate lines."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids) + prompts[i].copies)
        chunk: list[int] = []
        for i in order:
            width = len(prompts[i].ids) + prompts[i].copies
            if chunk and (self._form == "padding" or width * (len(chunk) + 1) > self._batch_tokens):
                yield chunk
                chunk = []
            chunk.append(i)
        if chunk:
            yield chunk

    def _run(self, batch: Batch, prompts: Sequence[Branched], form: Form) -> FloatArray:
        model = self._model
        lines = torch.tensor(batch.lines, device=model.device)
        columns = torch.tensor([at for (at,) in batch.positions], device=model.device)
        depths = None if batch.depths is None else torch.from_numpy(batch.depths)
        mask = torch.from_numpy(batch.mask) if batch.parents is None else tree_mask(model, batch, form)
        with (
            torch.inference_mode(),
            displace(model, _displacements(batch, prompts)),
            observe(model.anatomy, ["resid"], lambda h: h[lines, columns]) as seen,
        ):
            model.run(torch.from_numpy(batch.ids).to(model.device), attention_mask=mask, position_ids=depths)
            last: FloatArray = seen["resid"][-1].float().cpu().numpy()
        return last


def _shared(prompts: Sequence[Branched], numbers: Sequence[int]) -> Batch:
    """Return one line per prompt: its tokens, then copies of the last one as children of the last but one."""
    width = max(len(p.ids) + p.copies - 1 for p in prompts)
    ids, mask = np.zeros((2, len(prompts), width), np.int64)
    parents, depths = np.full_like(ids, -1), np.zeros_like(ids)
    lines, positions = [], []
    for i, prompt in enumerate(prompts):
        n, end = len(prompt.ids), len(prompt.ids) + prompt.copies - 1
        ids[i, :n], ids[i, n:end] = prompt.ids, prompt.ids[-1]
        parents[i, :n], parents[i, n:end] = np.arange(n) - 1, n - 2
        depths[i, :n], depths[i, n:end] = np.arange(n), n - 1
        mask[i, :end] = 1
        lines += [i] * prompt.copies
        positions += [(at,) for at in range(n - 1, end)]
    return Batch(
        key="",
        ids=ids,
        mask=mask,
        rows=tuple(i for i, p in zip(numbers, prompts, strict=True) for _ in range(p.copies)),
        lines=tuple(lines),
        positions=tuple(positions),
        parents=parents,
        depths=depths,
    )


def _apart(prompt: Branched, number: int) -> Batch:
    """Return one line per copy: the whole prompt, for models without per-token masks."""
    ids = np.tile(np.array(prompt.ids, np.int64), (prompt.copies, 1))
    return Batch(
        key="",
        ids=ids,
        mask=np.ones_like(ids),
        rows=(number,) * prompt.copies,
        lines=tuple(range(prompt.copies)),
        positions=((len(prompt.ids) - 1,),) * prompt.copies,
    )


def _displacements(batch: Batch, prompts: Sequence[Branched]) -> dict[int, Displacement]:
    """Return the vectors added at each layer; the first copy of each prompt is not edited."""
    points = np.concatenate([[-1, *p.points] for p in prompts])
    vectors = np.concatenate([np.concatenate([np.zeros_like(p.vectors[:1]), p.vectors]) for p in prompts])
    lines, columns = np.array(batch.lines), np.array([at for (at,) in batch.positions])
    return {
        int(point): Displacement(
            lines=lines[points == point], columns=columns[points == point], vectors=vectors[points == point]
        )
        for point in np.unique(points[points >= 0])
    }


def _finite(logits: FloatArray, number: int) -> FloatArray:
    if not np.isfinite(logits).all():
        raise CaptureError(
            f"prompt {number + 1} gave logits that are not finite", "finite numbers", "load with --dtype float32"
        )
    return logits
