"""Which texts go through the model together: length-sorted batches here, the prefix trie in `trie`.

A plan is a list of batches. Whatever packs them, a batch says which token positions make up the vector of each
text, and its key changes with its content, so that a finished batch is recognised after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.errors import CaptureError
from layeratlas.spec import hash_of


@dataclass(frozen=True)
class Reading:
    """One text as tokens, and the positions whose mean is its vector."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """Texts that share a forward pass.

    `ids` and `mask`: int64 (lines, tokens). Text `rows[i]` is read on line `lines[i]` at `positions[i]`. Without
    `parents`, each line is a text, padded on the right. With `parents`, a line holds nodes of a trie: node j follows
    node `parents[line, j]` (-1 at a root and for pads) and stands at depth `depths[line, j]` of its texts.
    """

    key: str
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    rows: tuple[int, ...]
    lines: tuple[int, ...]
    positions: tuple[tuple[int, ...], ...]
    parents: NDArray[np.int64] | None = None
    depths: NDArray[np.int64] | None = None


def make_plan(readings: Sequence[Reading], batch_tokens: int, pad: int = 0) -> list[Batch]:
    """Sort texts by length and cut them into batches of at most `batch_tokens` padded tokens.

    Each text occurs once; a text longer than `batch_tokens` has a batch to itself. The same readings give the
    same batches in any process.
    """
    return sorted_plan(range(len(readings)), readings, batch_tokens, pad)


def sorted_plan(rows: Sequence[int], readings: Sequence[Reading], batch_tokens: int, pad: int = 0) -> list[Batch]:
    """Return the length-sorted batches of some of the texts."""
    order = sorted(rows, key=lambda i: (len(readings[i].ids), readings[i].ids, readings[i].positions))
    return [_batch(chunk, readings, pad) for chunk in _chunks(order, readings, batch_tokens)]


def _chunks(order: list[int], readings: Sequence[Reading], batch_tokens: int) -> Iterator[list[int]]:
    chunk: list[int] = []
    for row in order:
        if chunk and len(readings[row].ids) * (len(chunk) + 1) > batch_tokens:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _batch(rows: list[int], readings: Sequence[Reading], pad: int) -> Batch:
    width = max(len(readings[row].ids) for row in rows)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(readings[row].ids)] = readings[row].ids
        mask[i, : len(readings[row].ids)] = 1
    positions = tuple(readings[row].positions for row in rows)
    key = hash_of([ids.tolist(), mask.tolist(), rows, positions])
    return Batch(key, ids, mask, tuple(rows), tuple(range(len(rows))), positions)


def positions_of(where: str, offsets: Sequence[tuple[int, int]], spans: dict[str, tuple[int, int]]) -> tuple[int, ...]:
    """Return the token positions read under `position=where`.

    `offsets` are the characters of each token, BOS as (0, 0). `last` is the last token; `mean` every token but
    position 0 (the attention sink); `span:NAME` every token that overlaps the named characters.
    """
    if where == "last":
        return (len(offsets) - 1,)
    if where == "mean":
        return tuple(range(1, len(offsets))) or (0,)
    name = where.removeprefix("span:")
    if name not in spans:
        raise CaptureError(
            f"no span named '{name}' in a text that has {sorted(spans) or 'none'}",
            "a span that every text names",
            "use another --position",
        )
    start, end = spans[name]
    inside = tuple(i for i, (a, b) in enumerate(offsets) if a < end and b > start and b > a)
    if not inside:
        raise CaptureError(f"span '{name}' ({start}-{end}) covers no token", "a span of characters in the text")
    return inside
