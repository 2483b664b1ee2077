"""Greedy decoding from the exit at layer l; each exit continues its own answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray
from layeratlas.core.spec import CaptureSpec
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Shape, Store

if TYPE_CHECKING:
    from layeratlas.capture import Readout
    from layeratlas.models import LoadedModel

TokenIds = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A prompt that is continued until `is_complete(text)`."""

    prompt: str
    is_complete: Callable[[str], bool]


class BestTokenStore(Store):
    """A store that receives the residual stream and keeps only the likeliest next token of each text at some exits."""

    def __init__(self, readout: Readout, texts: int, exits: Sequence[int]) -> None:
        self.readout, self.exits = readout, list(exits)
        self.shape = Shape(texts, readout.anatomy.width, {"resid": readout.points})
        self._best = np.full((texts, len(self.exits)), -1, np.int64)
        self._done: set[str] = set()

    def finished(self) -> set[str]:
        """Return the keys of the shards taken so far."""
        return set(self._done)

    def holds(self, rows: Sequence[int]) -> bool:
        """Return whether each of the texts `rows` has a token at every exit."""
        return bool((self._best[list(rows)] >= 0).all())

    def write(
        self, key: str, rows: Sequence[int], values: Mapping[str, FloatArray], first: Mapping[str, int] | None = None
    ) -> None:
        """Read out a shard at the exits that it contains."""
        start, stream = (first or {}).get("resid", 0), values["resid"]
        for column, point in enumerate(self.exits):
            at = point - start
            if 0 <= at < stream.shape[1]:
                self._best[list(rows), column] = self.readout.best(stream[:, at : at + 1], [point])[:, 0]
        self._done.add(key)

    def read(self, component: str, layer: int) -> FloatArray:
        """Return the tokens at the exit with index `layer`, float32 (texts, 1)."""
        return self.tokens[:, [layer]].astype(np.float32)

    @property
    def tokens(self) -> NDArray[np.int64]:
        """The likeliest next tokens, (texts, exits)."""
        return self._best


def chosen_exits(points: int, count: int) -> list[int]:
    """Return at most `count` evenly spaced points from 1 to the last, including the last."""
    return sorted({round(x) for x in np.linspace(points - 1, 1, min(count, points - 1))})


def decode(
    work: Workspace, asked: Sequence[Asked], exits: Sequence[int], readout: Readout, most: int
) -> list[list[str]]:
    """Return each exit's continuation of each prompt: greedy decoding until it is complete, at most `most` tokens.

    Each new token takes one model run over all prompts and the answers so far; shared prefixes are computed once.
    """
    model = work.model
    starts = [tuple(model.encode_prompt(each.prompt)) for each in asked]
    answers: dict[tuple[int, int], TokenIds] = {(i, e): () for i in range(len(starts)) for e in range(len(exits))}
    unfinished = set(answers)
    for _ in range(most):
        if not unfinished:
            break
        texts = {(i, e): starts[i] + answers[i, e] for i, e in sorted(unfinished)}
        rows = {ids: row for row, ids in enumerate(dict.fromkeys(texts.values()))}
        tokens = _next_tokens(work, list(rows), exits, readout)
        for (i, e), ids in texts.items():
            token = int(tokens[rows[ids], e])
            answers[i, e] += (token,)
            if token == model.tokenizer.eos_token_id or asked[i].is_complete(_text(model, answers[i, e])):
                unfinished.discard((i, e))
    return [[_text(model, answers[i, e]) for e in range(len(exits))] for i in range(len(starts))]


def _next_tokens(
    work: Workspace, texts: Sequence[TokenIds], exits: Sequence[int], readout: Readout
) -> NDArray[np.int64]:
    """Return the likeliest next token after each text at each exit, (texts, exits)."""
    from layeratlas.capture import Reading, capture, choose_plan

    readings = [Reading(ids, (len(ids) - 1,)) for ids in texts]
    store = BestTokenStore(readout, len(readings), exits)
    packing = choose_plan(work.model, readings, CaptureSpec(components=("resid",)))
    capture(work.model, packing.batches, store, work.progress, packing.form)
    return store.tokens


def _text(model: LoadedModel, ids: TokenIds) -> str:
    text: str = model.tokenizer.decode(ids, skip_special_tokens=True)
    return text
