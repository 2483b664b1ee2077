"""The passages of a run as tokens of one length; noisy copies of some; a choice of them in turn from each kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from layeratlas.core.errors import DataError
from layeratlas.data.passages import Passages, noisy_copy
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


def encode_passages(work: Workspace, model: LoadedModel) -> list[list[int]]:
    """Return the token ids of all passages, truncated to one length: BOS, if the model has one, and the run's `tokens`.

    If the shortest passage is shorter, all are truncated to its length and a note says so. Raises DataError below 64
    tokens (or the number asked for), and if the passages do not fit into the model's context.
    """
    asked, bos = work.settings.tokens, int(model.bos_id is not None)
    ids = [model.encode(text) for text in texts_of(work)]
    counts = [len(passage) - bos for passage in ids]
    shortest = int(np.argmin(counts))
    length = min(asked, counts[shortest])
    if length < min(asked, _FEWEST_TOKENS):
        raise DataError(
            f"passage {shortest + 1} has {counts[shortest]} tokens",
            f"at least {min(asked, _FEWEST_TOKENS)} in every passage",
            "join short passages or drop it",
        )
    if model.context and length + bos > model.context:
        raise DataError(
            f"the passages have {length + bos} tokens and the context of {model.info['name']} is {model.context}",
            "passages that fit into it",
            f"use --set tokens={model.context - bos} or fewer",
        )
    if length < asked:
        work.progress.note(f"passages are truncated to {length} tokens, the length of passage {shortest + 1}")
    return [passage[: length + bos] for passage in ids]


def encode_copies(work: Workspace, model: LoadedModel, passages: int) -> list[list[int]]:
    """Return the token ids of the noisy copies of that many passages, passage by passage, truncated to one length."""
    if not passages:
        return []
    settings = work.settings
    chosen = in_turn(texts_of(work), kinds_of(work), passages)
    ids = [model.encode(noisy_copy(text, number)) for text in chosen for number in range(settings.views)]
    length = min(settings.view_tokens + int(model.bos_id is not None), *map(len, ids))
    return [copy[:length] for copy in ids]


def in_turn(values: Sequence[Value], kinds: Sequence[str], count: int) -> list[Value]:
    """Return `count` of the values, in turn from each kind."""
    places: dict[str, int] = {}
    turns = []
    for i, kind in enumerate(kinds):
        turns.append((places.setdefault(kind, 0), i))
        places[kind] += 1
    return [values[i] for _, i in sorted(turns)[:count]]


def dataset_record(passages: Passages, tokens: int) -> dict[str, Any]:
    """Return what `run.json` says of a set of passages."""
    n = len(passages.texts)
    return {
        "name": passages.name,
        "level": passages.level,
        "kind": "passages",
        "n": n,
        "n_groups": n,
        "classes": dict(Counter(passages.kinds)),
        "tokens": {"mean": float(tokens), "max": tokens},
    }
