"""From prompts with continuations to readings: where to read the model, and which next tokens to score there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.plan import Reading
from layeratlas.core.arrays import Ints
from layeratlas.core.errors import CaptureError, ModelError
from layeratlas.models import LoadedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """A prompt and its continuation as tokens; `ids[start:]` are scored.

    `clean` is False if the tokens of prompt and continuation together do not begin with the prompt's tokens.
    """

    ids: tuple[int, ...]
    start: int
    clean: bool


def encode_choices(model: LoadedModel, prompt: str, choices: Sequence[str]) -> list[Continuation]:
    """Encode a prompt with each choice together and split them at the prompt's length, as lm-evaluation-harness does.

    Trailing spaces of the prompt are scored with the choice. If a token spans the boundary, the split is at the longest
    common prefix, so that every token of the choice is scored. Raises CaptureError if no token precedes the choice or
    the choice has no token to score.
    """
    bare = prompt.rstrip()
    alone = model.encode(bare)
    out = []
    for choice in choices:
        whole = model.encode(prompt + choice)
        pairs = enumerate(zip(whole, alone, strict=False))
        shared = next((i for i, (a, b) in pairs if a != b), min(len(whole), len(alone)))
        if not 0 < shared < len(whole):
            raise CaptureError(
                f"no token to score '{choice.strip()[:40]}' after '{bare[-40:]}'",
                "a prompt and a choice with tokens of their own",
                "use another format or --bos auto",
            )
        out.append(Continuation(ids=tuple(whole), start=shared, clean=shared == len(alone)))
    return out


def encode_answers(model: LoadedModel, rendered: str, choices: Sequence[str]) -> list[Continuation]:
    """Encode each choice as the beginning of the model's answer to a rendered chat; the chat's tokens do not change.

    Raises CaptureError if a choice has no token to score, ModelError if the model was loaded without a chat.
    """
    if model.chat is None:
        raise ModelError(f"'{model.spec.id}' was loaded without a chat", "chat=True (--chat)")
    start = model.encode_prompt(rendered)
    out = []
    for choice in choices:
        answer = model.chat.before_answer + choice.strip()
        whole = model.encode_prompt(rendered + answer)
        if whole[: len(start)] != start:
            # A token would span the boundary, so encode the two separately: the chat is fixed before the answer.
            whole = [*start, *model.encode_prompt(answer)]
        if len(whole) == len(start):
            raise CaptureError(f"no token to score '{answer[:40]}'", "a choice with a token of its own", "drop it")
        out.append(Continuation(ids=tuple(whole), start=len(start), clean=True))
    return out


@dataclass(frozen=True, kw_only=True)
class Slots:
    """Every log-probability to compute, once: slot s is token `tokens[s]` after reading `rows[s]`.

    Slots are in the order of their readings. `paths[i]` are the slots whose sum is the log-likelihood of
    continuation i.
    """

    readings: list[Reading]
    rows: Ints
    tokens: Ints
    paths: list[Ints]

    def of(self, rows: Sequence[int]) -> tuple[Ints, Ints]:
        """Return the slots of the readings `rows`, and for each slot the index of its reading in `rows`."""
        asked = np.asarray(rows, dtype=np.int64)
        first, past = np.searchsorted(self.rows, asked), np.searchsorted(self.rows, asked, side="right")
        counts = past - first
        place = np.repeat(np.arange(len(asked)), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return first[place] + within, place

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add up slots, (slots, P), to continuations, (continuations, P)."""
        lengths = [len(path) for path in self.paths]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        total: NDArray[np.float64] = np.add.reduceat(values[np.concatenate(self.paths)], starts, axis=0)
        return total


def make_slots(continuations: Sequence[Continuation], whole: bool = False) -> Slots:
    """Return the slots of continuations; a prefix that several choices share is read once.

    With `whole`, every token is read in a pass over its whole continuation, for models whose activations at a token
    change with the length of the text.
    """
    row_of: dict[tuple[tuple[int, ...], int], int] = {}
    wanted: dict[tuple[int, int], None] = {}
    keys: list[list[tuple[int, int]]] = []
    for continuation in continuations:
        path = []
        for end in range(continuation.start, len(continuation.ids)):
            text = continuation.ids if whole else continuation.ids[:end]
            row = row_of.setdefault((text, end), len(row_of))
            path.append((row, continuation.ids[end]))
        keys.append(path)
        wanted.update(dict.fromkeys(path))
    ordered = sorted(wanted)
    number = {key: slot for slot, key in enumerate(ordered)}
    pairs = np.array(ordered, dtype=np.int64).reshape(-1, 2)
    paths = [np.array([number[key] for key in path], dtype=np.int64) for path in keys]
    readings = [Reading(text, (end - 1,)) for text, end in row_of]
    return Slots(readings=readings, rows=pairs[:, 0], tokens=pairs[:, 1], paths=paths)
