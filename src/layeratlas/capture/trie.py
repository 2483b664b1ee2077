"""The prefix trie: texts that begin alike share the tokens they begin with, and these are computed once.

Nodes of the trie are laid out in one line. A node's position id is its depth, and it attends to its ancestors and
itself alone, so it holds what the last token of its prefix would hold in a text of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from layeratlas.capture.plan import Batch, Reading, sorted_plan
from layeratlas.spec import hash_of

# Attention over a line costs the square of its length, so lines are short: at width 576 a line of 256 nodes spends
# about a tenth of its operations on attention.
LINE = 256
# A text that shares less than this part of its tokens is as well off in a padded batch of its own length.
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
    for row in order:
        if share[row] >= WORTH and not (lines and lines[-1].take(row, readings[row])):
            lines.append(_Line(max(line, len(readings[row].ids) + line // 2)))
            lines[-1].take(row, readings[row])
    return [one.batch() for one in lines] + sorted_plan(alone, readings, batch_tokens)


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    n = min(len(a), len(b))
    return next((i for i in range(n) if a[i] != b[i]), n)


class _Line:
    """A line being filled with texts in lexicographic order, so that the last path holds every shared prefix."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._ids: list[int] = []
        self._parents: list[int] = []
        self._depths: list[int] = []
        self._path: list[int] = []
        self._rows: list[int] = []
        self._positions: list[tuple[int, ...]] = []

    def take(self, row: int, reading: Reading) -> bool:
        """Add a text, or return False where the line has no room for its new nodes."""
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

    def batch(self) -> Batch:
        """Return the line as a batch."""
        ids = np.array([self._ids])
        key = hash_of(["trie", self._ids, self._parents, self._rows, self._positions])
        return Batch(
            key, ids, np.ones_like(ids), tuple(self._rows), (0,) * len(self._rows), tuple(self._positions),
            np.array(self._parents), np.array([self._depths]),
        )  # fmt: skip


def ancestors(parents: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (n, n): may node i see node j? A node sees its ancestors and itself."""
    seen = np.zeros((len(parents), len(parents)), dtype=bool)
    for node, parent in enumerate(parents):
        if parent >= 0:
            seen[node] = seen[parent]
        seen[node, node] = True
    return seen
