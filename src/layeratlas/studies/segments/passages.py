"""The passages of a run as tokens of equal length, their noisy copies, and selection in turn from each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.passages import Passages, noisy_copy
from layeratlas.runs.fitting import Reader, begin_fitting, leave_out_unfit
from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

_FEWEST_TOKENS = 64
Value = TypeVar("Value")


def texts_of(work: Workspace) -> list[str]:
    """Return the texts of all passages of a run, in order."""
    return [text for passages in work.material for text in passages.texts]


def kinds_of(work: Workspace) -> list[str]:
    """Return the kind of each passage of a run, in order."""
    return [kind for passages in work.material for kind in passages.kinds]


def groups_of(work: Workspace) -> list[str]:
    """Return the group of each passage of a run, in order; a passage without one is a group by itself."""
    names: list[str] = []
    for passages in work.material:
        names += passages.groups or [f"{passages.name} {number}" for number in range(len(passages.texts))]
    return names


def characters_per_token(work: Workspace, model: LoadedModel) -> dict[str, float]:
    """Return the mean number of characters per token of the passages of each kind."""
    counts: dict[str, list[int]] = {}
    for text, kind in zip(texts_of(work), kinds_of(work), strict=True):
        sums = counts.setdefault(kind, [0, 0])
        sums[0] += len(text)
        sums[1] += len(model.encode(text)) - int(model.bos_id is not None)
    return {kind: characters / tokens for kind, (characters, tokens) in counts.items()}


def encode_passages(work: Workspace, model: LoadedModel) -> list[list[int]]:
    """Return the token ids of all passages, truncated to one length: BOS (if the model has one) and the run's `tokens`.

    The length is at most the model's context and the shortest passage; a note tells if it is less than requested.
    Passages with fewer than 64 tokens (or than requested, if that is less) do not fit: see `leave_out_unfit`. Raises
    DataError if the context is shorter than that, or than the number that the user requested.
    """
    asked, bos = work.settings.tokens, int(model.bos_id is not None)
    known = Reader(
        name=model.info["name"], blocks=model.anatomy.n_layers, encode=model.encode_all, context=model.context
    )
    room = room_of(known, bos, asked, asked_for="tokens" in work.spec.settings)
    begin_fitting(work)
    encoded = {text: model.encode(text) for text in texts_of(work)}
    _leave_out_short(work, {text: len(ids) - bos for text, ids in encoded.items()}, asked)
    ids = [encoded[text] for text in texts_of(work)]
    counts = [len(passage) - bos for passage in ids]
    shortest = int(np.argmin(counts))
    length = min(room, counts[shortest])
    if length < asked:
        why = f"the length of passage {shortest + 1}" if length < room else f"the context of {model.info['name']}"
        work.progress.note(f"passages are truncated to {length} tokens, {why}")
    return [passage[: length + bos] for passage in ids]


def room_of(model: Reader, bos: int, asked: int, *, asked_for: bool) -> int:
    """Return how many tokens of a passage a model reads: `asked`, or what its context holds beside `bos`.

    Raises DataError for fewer than a passage needs, or than the user has `asked_for`.
    """
    room = min(asked, model.context - bos) if model.context else asked
    if room < _fewest(asked):
        raise DataError(
            f"the context of {model.name} has room for {room} tokens of a passage",
            f"at least {_fewest(asked)}",
            "use a model with a longer context",
        )
    if room < asked and asked_for:
        raise DataError(
            f"passages of {asked} tokens are asked for and the context of {model.name} has room for {room}",
            "passages that fit into it",
            f"use --set tokens={room} or fewer",
        )
    return room


def short_ones(counts: Sequence[int], asked: int) -> dict[int, str]:
    """Return which passages have too few tokens, by their numbers from 0 on, and how many they have."""
    return {number: f"has {count} tokens" for number, count in enumerate(counts) if count < _fewest(asked)}


def _fewest(asked: int) -> int:
    return min(asked, _FEWEST_TOKENS)


def _leave_out_short(work: Workspace, counts: Mapping[str, int], asked: int) -> None:
    """Leave out, or refuse, passages with too few tokens."""
    unfit: dict[str, dict[int, Dropped]] = {}
    for passages in work.material:
        where = passages.source or passages.name
        unfit[passages.name] = {
            number: Dropped(where=f"{where}, passage {number + 1}", why=why)
            for number, why in short_ones([counts[text] for text in passages.texts], asked).items()
        }
    leave_out_unfit(work, unfit, f"at least {_fewest(asked)} in every passage", "join short passages or drop it")


def encode_copies(work: Workspace, model: LoadedModel, passages: int) -> list[list[int]]:
    """Return the token ids of the noisy copies of the first `passages` passages, in order, truncated to one length."""
    if not passages:
        return []
    settings = work.settings
    chosen = in_turn(texts_of(work), kinds_of(work), passages)
    ids = [model.encode(noisy_copy(text, number)) for text in chosen for number in range(settings.views)]
    length = min(settings.view_tokens + int(model.bos_id is not None), *map(len, ids))
    return [copy[:length] for copy in ids]


def in_turn(values: Sequence[Value], kinds: Sequence[str], count: int) -> list[Value]:
    """Return `count` of the values, taken in turn from each kind."""
    places: dict[str, int] = {}
    turns = []
    for i, kind in enumerate(kinds):
        turns.append((places.setdefault(kind, 0), i))
        places[kind] += 1
    return [values[i] for _, i in sorted(turns)[:count]]


def dataset_record(passages: Passages, tokens: int) -> dict[str, Any]:
    """Return the `run.json` entry of a set of passages."""
    n = len(passages.texts)
    return {
        "name": passages.name,
        "level": passages.level,
        "kind": "passages",
        "n": n,
        "n_groups": n,
        "classes": dict(Counter(passages.kinds)),
        "languages": passages.languages,
        "tokens": {"mean": float(tokens), "max": tokens},
    }
