"""Which texts share a forward pass: length-sorted batches here, the prefix trie in `trie`.

A plan is a list of batches. For any packing, a batch gives the token positions that make up each text's vector. Its key
changes with its content, so that a finished batch is recognised after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import CaptureError
from layeratlas.store.names import name_of, renamed


@dataclass(frozen=True)
class Reading:
    """A text as token ids, and the positions whose mean is its vector."""

    ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Texts that share a forward pass.

    `ids` and `mask`: int64 (lines, tokens). Text `rows[i]` is read on line `lines[i]` at `positions[i]`. Without
    `parents`, each line is a text, padded on the right; its prefixes may be read on the same line. With `parents`, a
    line holds nodes of a trie: for node j, `parents[line, j]` is its parent (-1 at a root and for pads) and
    `depths[line, j]` its depth.
    """

    key: str
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    rows: tuple[int, ...]
    lines: tuple[int, ...]
    positions: tuple[tuple[int, ...], ...]
    parents: NDArray[np.int64] | None = None
    depths: NDArray[np.int64] | None = None


# A way to pack texts: from readings and the most tokens of a batch to batches.
Plan = Callable[[Sequence[Reading], int], list[Batch]]


def make_plan(readings: Sequence[Reading], batch_tokens: int, pad: int = 0) -> list[Batch]:
    """Sort texts by length and cut them into batches of at most `batch_tokens` padded tokens.

    Each text occurs once; a text longer than `batch_tokens` has a batch to itself. The same readings give the
    same batches in any process.
    """
    return sorted_plan(range(len(readings)), readings, batch_tokens, pad)


def make_riding_plan(readings: Sequence[Reading], batch_tokens: int, pad: int = 0) -> list[Batch]:
    """Return length-sorted batches in which a text that is a prefix of another is read on the longer text's line.

    In a causal model the activations at a token do not depend on later tokens, so such a prefix (a question before its
    answer) adds no cost, in recurrent models too.
    """
    order = sorted(range(len(readings)), key=lambda i: (readings[i].ids, readings[i].positions))
    carried: dict[int, list[int]] = {}
    host = -1
    # In lexicographic order, a text that is a prefix of any later text is a prefix of the very next one.
    for row in reversed(order):
        ids = readings[row].ids
        if host < 0 or readings[host].ids[: len(ids)] != ids:
            host = row
            carried[host] = []
        else:
            carried[host].append(row)
    by_length = sorted(carried, key=lambda i: (len(readings[i].ids), readings[i].ids, readings[i].positions))
    return [_batch(chunk, readings, pad, carried) for chunk in _chunks(by_length, readings, batch_tokens)]


def make_even_plan(readings: Sequence[Reading], batch_tokens: int) -> list[Batch]:
    """Return batches of texts of exactly equal length, so that no line is padded or read at a prefix.

    For models in which a text's activations change with the longest text of its batch. A text that is read at several
    positions has one line.
    """
    order = sorted(range(len(readings)), key=lambda i: (len(readings[i].ids), readings[i].ids, readings[i].positions))
    carried: dict[int, list[int]] = {}
    for _, alike in groupby(order, key=lambda i: readings[i].ids):
        host, *others = alike
        carried[host] = others
    batches: list[Batch] = []
    for _, same in groupby(carried, key=lambda i: len(readings[i].ids)):
        chunks = _chunks(list(same), readings, batch_tokens)
        batches += [_batch(chunk, readings, pad=0, carried=carried) for chunk in chunks]
    return batches


def sorted_plan(rows: Sequence[int], readings: Sequence[Reading], batch_tokens: int, pad: int = 0) -> list[Batch]:
    """Return the length-sorted batches of some of the texts."""
    order = sorted(rows, key=lambda i: (len(readings[i].ids), readings[i].ids, readings[i].positions))
    return [_batch(chunk, readings, pad) for chunk in _chunks(order, readings, batch_tokens)]


def plan_by_set(make: Plan, readings: Sequence[Reading], batch_tokens: int, sizes: Sequence[int]) -> list[Batch]:
    """Return the batches of consecutive sets of texts, of these sizes; none holds texts of two sets.

    A set then has the same batches, and its texts the same vectors to the last bit, beside any other sets.
    """
    batches: list[Batch] = []
    for first, past in pairwise(accumulate(sizes, initial=0)):
        for batch in make(readings[first:past], batch_tokens):
            rows = tuple(first + row for row in batch.rows)
            batches.append(replace(batch, rows=rows, key=renamed(batch.key, rows)))
    return batches


def _chunks(order: list[int], readings: Sequence[Reading], batch_tokens: int) -> Iterator[list[int]]:
    chunk: list[int] = []
    for row in order:
        if chunk and len(readings[row].ids) * (len(chunk) + 1) > batch_tokens:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _batch(
    hosts: list[int], readings: Sequence[Reading], pad: int, carried: dict[int, list[int]] | None = None
) -> Batch:
    width = max(len(readings[row].ids) for row in hosts)
    ids = np.full((len(hosts), width), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(hosts):
        ids[i, : len(readings[row].ids)] = readings[row].ids
        mask[i, : len(readings[row].ids)] = 1
    riders = [(row, line) for line, host in enumerate(hosts) for row in (carried or {}).get(host, [])]
    rows = [*hosts, *(row for row, _ in riders)]
    lines = (*range(len(hosts)), *(line for _, line in riders))
    positions = tuple(readings[row].positions for row in rows)
    key = name_of([ids.tolist(), mask.tolist(), lines, positions], rows)
    return Batch(key=key, ids=ids, mask=mask, rows=tuple(rows), lines=lines, positions=positions)


def positions_of(where: str, offsets: Sequence[tuple[int, int]], spans: dict[str, tuple[int, int]]) -> tuple[int, ...]:
    """Return the token positions read under `position=where`.

    `offsets` give each token's characters, BOS as (0, 0). `last` is the last token; `mean` is every token except
    position 0 (the attention sink); `span:NAME` is every token that overlaps the named characters.
    """
    if where == "last":
        return (len(offsets) - 1,)
    if where == "mean":
        return tuple(range(1, len(offsets))) or (0,)
    return _span_tokens(where.removeprefix("span:"), offsets, spans)


def chat_positions_of(
    where: str, offsets: Sequence[tuple[int, int]], spans: dict[str, tuple[int, int]]
) -> tuple[int, ...]:
    """Return the token positions read under `position=where` for a text that is the user's turn of a chat.

    `offsets` give each token's characters in the text, (0, 0) for tokens of the template. `last` is the last token of
    the text; `mean` is all its tokens (without position 0); `span:NAME` is those that overlap the named characters.
    `turn` and `answer` are the last token of the chat, which is rendered up to that point.
    """
    if where in ("turn", "answer"):
        return (len(offsets) - 1,)
    inside = tuple(i for i, (start, end) in enumerate(offsets) if end > start)
    if not inside:
        raise CaptureError("a text without tokens in its chat", "a text with a token", "drop it")
    if where == "last":
        return inside[-1:]
    if where == "mean":
        return tuple(i for i in inside if i) or inside
    return _span_tokens(where.removeprefix("span:"), offsets, spans)


def _span_tokens(name: str, offsets: Sequence[tuple[int, int]], spans: dict[str, tuple[int, int]]) -> tuple[int, ...]:
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
