"""Greedy decoding from the exit at layer l; each exit continues its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import FloatArray
from layeratlas.core.spec import CaptureSpec
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Shape, Store
from layeratlas.studies.exits.kept_decoding import Kept, Said, TokenIds

if TYPE_CHECKING:
    from layeratlas.capture import Readout
    from layeratlas.models import LoadedModel

# The most texts, of a prompt at an exit, that are continued at once: so many share a product, if there is memory for
# their keys and values. Of the free memory these take half; the pass over them needs the rest.
LINES, SHARE = 48, 0.5
# With how many whole texts a cache is compared, once: one may agree although the lines of others were mixed up.
COMPARED = 2


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


def chosen_exits(read: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of the exits that are read, evenly spaced, including the last; without the embeddings."""
    exits = [point for point in read if point > 0]
    return [exits[at - 1] for at in sorted({round(x) for x in np.linspace(len(exits), 1, min(count, len(exits)))})]


def decode(
    work: Workspace, asked: Sequence[Asked], exits: Sequence[int], readout: Readout, most: int
) -> list[list[str]]:
    """Return each exit's continuation of each prompt: greedy decoding until it is complete, at most `most` tokens.

    A model in this process reads every prompt once and keeps its keys and values. A model that is streamed or spread
    over processes runs all prompts and answers anew for each token.
    """
    model = work.model
    starts = [tuple(model.encode_prompt(each.prompt)) for each in asked]
    texts: dict[int, list[str]] = {}
    with work.progress.stage("decode", len(starts)) as step:
        for numbers, next_tokens in _batches(work, starts, exits, readout, most):
            ends = [asked[i].is_complete for i in numbers]
            texts |= zip(numbers, _continued(model, ends, len(exits), next_tokens, most), strict=True)
            step.advance(len(numbers))
    return [texts[i] for i in range(len(starts))]


# For the tokens decoded so far after some prompts at some exits (number of the prompt, column), the next token of each.
Next = Callable[[Said], Mapping[tuple[int, int], int]]


def _batches(
    work: Workspace, starts: Sequence[TokenIds], exits: Sequence[int], readout: Readout, most: int
) -> Iterator[tuple[list[int], Next]]:
    """Yield numbers of prompts with a function that continues them; it counts the prompts of its batch from 0."""
    model = work.model
    if model.streamer is not None or model.team is not None:
        yield list(range(len(starts))), partial(_anew, work, starts, exits, readout)
        return
    from layeratlas.models.decoding import Steps

    compare = COMPARED
    of_length: dict[int, list[int]] = {}
    for number, ids in enumerate(starts):
        of_length.setdefault(len(ids), []).append(number)
    for length, numbers in sorted(of_length.items()):
        own = list(dict.fromkeys(starts[i] for i in numbers))
        step = prompts_at_once(model, length + most, len(exits))
        for first in range(0, len(own), step):
            some = own[first : first + step]
            members = [i for i in numbers if starts[i] in some]
            steps = Steps(model, length + most, compare)
            yield members, Kept(readout, steps, [starts[i] for i in members], exits)
            compare = steps.compare or 0


def prompts_at_once(model: LoadedModel, tokens: int, exits: int) -> int:
    """Return how many prompts are continued at once, at all exits: LINES texts of `tokens` tokens, or what fits."""
    from layeratlas.models.caches import cache_bytes
    from layeratlas.models.memory import room_beside

    weights = sum(p.numel() * p.element_size() for p in model.model.parameters())
    room = SHARE * room_beside(weights, model.spec.memory, model.device)
    each = cache_bytes(model.model.config.get_text_config(), tokens, model.model.dtype.itemsize)
    return max(1, min(LINES, int(room / each)) // exits)


def _continued(
    model: LoadedModel, ends: Sequence[Callable[[str], bool]], exits: int, next_tokens: Next, most: int
) -> list[list[str]]:
    """Return the texts that a batch's prompts are continued with at each exit; each prompt has its own end."""
    said: dict[tuple[int, int], TokenIds] = {(i, e): () for i in range(len(ends)) for e in range(exits)}
    unfinished = set(said)
    for _ in range(most):
        if not unfinished:
            break
        for key, token in next_tokens({key: said[key] for key in sorted(unfinished)}).items():
            said[key] += (token,)
            if token == model.tokenizer.eos_token_id or ends[key[0]](_text(model, said[key])):
                unfinished.discard(key)
    return [[_text(model, said[i, e]) for e in range(exits)] for i in range(len(ends))]


def _anew(
    work: Workspace, starts: Sequence[TokenIds], exits: Sequence[int], readout: Readout, said: Said
) -> dict[tuple[int, int], int]:
    """Return the next tokens from one run of all texts; shared prefixes are computed once."""
    from layeratlas.capture import Reading, capture, choose_plan

    texts = {key: starts[key[0]] + ids for key, ids in said.items()}
    rows = {ids: row for row, ids in enumerate(dict.fromkeys(texts.values()))}
    readings = [Reading(ids, (len(ids) - 1,)) for ids in rows]
    store = BestTokenStore(readout, len(readings), exits)
    packing = choose_plan(work.model, readings, CaptureSpec(components=("resid",)))
    capture(work.model, packing.batches, store, work.progress, packing.form)
    return {key: int(store.tokens[rows[ids], key[1]]) for key, ids in texts.items()}


def _text(model: LoadedModel, ids: TokenIds) -> str:
    text: str = model.tokenizer.decode(ids, skip_special_tokens=True)
    return text
