"""The prefix trie: texts with a common prefix share its tokens, which are computed once.

Nodes of the trie are laid out in lines. A node's position id is its depth, and it attends only to its ancestors and
itself, so its activations equal those of the last token of its prefix run alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.plan import Batch, Reading, sorted_plan
from layeratlas.store.names import name_of

# The cost of attention grows with the square of a line's length, so lines are short: at width 576 a line of 128 nodes
# spends less than a tenth of its operations, and less than a fifth of its time, on attention. Several lines share a
# forward pass, since matrix products of a thousand rows run 1.5 times as fast as those of 128.
LINE = 128
# Each line computes its shared prefix again, so a long prefix (few-shot examples) needs a longer line: with P shared
# nodes, m others and attention costing 1/1500 of the rest per node, (1 + P/m)(1 + (P+m)/1500) is smallest near
# m = sqrt(1500 P).
_LONG_PREFIX = 1500
# A text that shares a smaller fraction of its tokens gains nothing over a padded batch of similar length.
WORTH = 0.15


def make_trie_plan(readings: Sequence[Reading], batch_tokens: int, line: int = LINE) -> list[Batch]:
    """Return lines of trie nodes for texts that share prefixes, and length-sorted batches for the rest.

    Each text occurs once. A prefix that many texts share is computed once per line that they fill.
    """
    order = sorted(range(len(readings)), key=lambda i: (readings[i].ids, readings[i].positions))
    before = [0, *(_common(readings[a].ids, readings[b].ids) for a, b in pairwise(order)), 0]
    share = {row: max(before[k : k + 2]) / len(readings[row].ids) for k, row in enumerate(order)}
    alone = [row for row in order if share[row] < WORTH]
    lines: list[_Line] = []
    for k, row in enumerate(order):
        if share[row] >= WORTH and not (lines and lines[-1].take(row, readings[row])):
            lines.append(_Line(max(line, len(readings[row].ids) + isqrt(_LONG_PREFIX * before[k + 1]))))
            lines[-1].take(row, readings[row])
    lines.sort(key=len, reverse=True)
    batches: list[list[_Line]] = []
    for filled in lines:
        if not batches or len(batches[-1][0]) * (len(batches[-1]) + 1) > batch_tokens:
            batches.append([])
        batches[-1].append(filled)
    return [_batch(lines_of_batch) for lines_of_batch in batches] + sorted_plan(alone, readings, batch_tokens)


def count_prefixes(texts: Sequence[tuple[int, ...]]) -> int:
    """Return the number of distinct prefixes of texts: the tokens that one trie over all texts would compute."""
    order = sorted(texts)
    return sum(map(len, order)) - sum(_common(a, b) for a, b in pairwise(order))


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


class _Line:
    """A line that is filled with texts in lexicographic order, so that the last path contains every shared prefix."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._ids: list[int] = []
        self._parents: list[int] = []
        self._depths: list[int] = []
        self._path: list[int] = []
        self._rows: list[int] = []
        self._positions: list[tuple[int, ...]] = []

    def take(self, row: int, reading: Reading) -> bool:
        """Add a text, or return False if the line has no room for its new nodes."""
        shared = _common(tuple(self._ids[node] for node in self._path), reading.ids)
        if self._ids and len(self._ids) + len(reading.ids) - shared > self._room:
            return False
        del self._path[shared:]
        for depth in range(shared, len(reading.ids)):
            self._parents.append(self._path[-1] if self._path else -1)
            self._path.append(len(self._ids))
            self._ids.append(reading.ids[depth])
            self._depths.append(depth)
        self._rows.append(row)
        self._positions.append(tuple(self._path[p] for p in reading.positions))
        return True

    def __len__(self) -> int:
        return len(self._ids)

    def fill(self, ids: NDArray[np.int64], parents: NDArray[np.int64], depths: NDArray[np.int64]) -> None:
        """Write the nodes into rows of (n,) filled with pads, which are nodes without parents that no text reads."""
        ids[: len(self)], parents[: len(self)], depths[: len(self)] = self._ids, self._parents, self._depths

    @property
    def texts(self) -> list[tuple[int, tuple[int, ...]]]:
        """The texts as (row number, nodes at which the text is read)."""
        return list(zip(self._rows, self._positions, strict=True))


def _batch(lines: list[_Line]) -> Batch:
    ids = np.zeros((len(lines), len(lines[0])), dtype=np.int64)
    parents, depths = np.full_like(ids, -1), np.zeros_like(ids)
    mask = np.zeros_like(ids)
    for i, line in enumerate(lines):
        line.fill(ids[i], parents[i], depths[i])
        mask[i, : len(line)] = 1
    rows = tuple(row for line in lines for row, _ in line.texts)
    places = tuple(i for i, line in enumerate(lines) for _ in line.texts)
    positions = tuple(nodes for line in lines for _, nodes in line.texts)
    key = name_of(["trie", ids.tolist(), parents.tolist(), places, positions], rows)
    return Batch(
        key=key, ids=ids, mask=mask, rows=rows, lines=places, positions=positions, parents=parents, depths=depths
    )


def ancestors(parents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (lines, n, n): whether node i may attend to node j of its line, that is to its ancestors and itself.

    parents: (lines, n), each before its children; -1 at a root.
    """
    lines, n = parents.shape
    seen = np.zeros((lines, n, n), dtype=bool)
    every = np.arange(lines)
    for node in range(n):
        parent = parents[:, node]
        seen[:, node] = seen[every, parent] & (parent >= 0)[:, None]
        seen[:, node, node] = True
    return seen
