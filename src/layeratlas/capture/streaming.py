"""Capture layer by layer instead of text by text: each group of blocks is loaded once and run over every batch.

This is for models larger than memory. Between two groups the residual stream of every batch is kept. The blocks run
inside the model's own `forward`, which skips the other blocks, so that masks, position codes and other block arguments
are the model's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layeratlas.capture.hidden import HiddenStates
from layeratlas.capture.plan import Batch
from layeratlas.capture.reading import check_finite, read_batch
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import IdentityError
from layeratlas.core.progress import Step
from layeratlas.core.spec import COMPONENTS, hash_of
from layeratlas.core.turns import Check
from layeratlas.models import LoadedModel
from layeratlas.models.anatomy import first_tensor, hidden_of
from layeratlas.models.memory import budget
from layeratlas.models.precision import precision_of
from layeratlas.models.sublayers import sum_error
from layeratlas.store import Store

# Small blocks are grouped, since each group costs every batch one pass through the modules outside the blocks.
_GROUP = 256_000_000
# Vectors are collected in memory until they fill a shard of this size (bytes).
_SHARD = 256_000_000
Mask = Callable[[Batch], Any]


def cut_blocks(sizes: Sequence[int], room: int) -> list[list[int]]:
    """Group blocks by `sizes` (bytes) so that two groups fit into `room` bytes; a group has at least one block."""
    most = min(_GROUP, int(0.35 * room))
    groups: list[list[int]] = []
    filled = 0
    for layer, size in enumerate(sizes):
        if not groups or filled + size > most:
            groups.append([])
            filled = 0
        groups[-1].append(layer)
        filled += size
    return groups


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep over a model's blocks writes to and reports to: `check` is called before each write."""

    store: Store
    step: Step
    mask: Mask
    names: Sequence[str]
    check: Check


def stream(model: LoadedModel, plan: Sequence[Batch], sweep: Sweep) -> None:
    """Run every batch through every group of blocks and store the requested components; each weight is read once.

    Raises CaptureError if an activation is not finite, IdentityError if a block's contributions do not add up.
    """
    store = sweep.store
    streamer = model.streamer
    assert streamer is not None
    room = budget(model.spec.memory, model.device)
    groups = cut_blocks(streamer.block_bytes, room - streamer.outside_bytes)
    where = getattr(store, "folder", None)
    spare = budget(model.spec.memory, torch.device("cpu")) // 4
    with ThreadPoolExecutor(1) as reader, HiddenStates(spare, where) as hidden:
        coming = reader.submit(streamer.load, groups[0])
        for number, group in enumerate(groups):
            coming.result()
            if number + 1 < len(groups):
                coming = reader.submit(streamer.load, groups[number + 1])
            with model.with_blocks(group) as loaded:
                slab = _Slab(sweep, group[0], last=number + 1 == len(groups))
                for i, batch in enumerate(plan):
                    before = hidden.get(i, model.device) if number else None
                    wanted = COMPONENTS if i == 0 else tuple(store.shape.points)
                    with _between(loaded, before) as after:
                        values = read_batch(loaded, batch, wanted, sweep.mask(batch))
                    check_finite(batch, values, sweep.names, group[0])
                    if i == 0:
                        _demand_sum(loaded, batch, values)
                    slab.add(batch, {c: values[c] for c in store.shape.points})
                    if number + 1 < len(groups):
                        hidden.put(i, after[0])
                    sweep.step.advance(batch.ids.size * len(group) / len(streamer.blocks))
                slab.flush()
            streamer.free(group)


@contextmanager
def _between(loaded: LoadedModel, before: Tensor | None) -> Iterator[list[Tensor]]:
    """Replace the first block's input by `before` and record the last block's output."""
    after: list[Tensor] = []

    def enter(module: Any, args: Any, kwargs: Any) -> Any:
        given = hidden_of(args, kwargs)
        swap = {id(given): before}
        changed = {key: swap.get(id(value), value) for key, value in kwargs.items()}
        return tuple(swap.get(id(value), value) for value in args), changed

    def leave(module: Any, args: Any, output: Any) -> None:
        tensor = first_tensor(output)
        assert tensor is not None
        after[:] = [tensor]

    handles = [loaded.anatomy.blocks[-1].register_forward_hook(leave)]
    if before is not None:
        handles.append(loaded.anatomy.blocks[0].register_forward_pre_hook(enter, with_kwargs=True, prepend=True))
    try:
        yield after
    finally:
        for handle in handles:
            handle.remove()


def _demand_sum(loaded: LoadedModel, batch: Batch, values: dict[str, FloatArray]) -> None:
    """Check the residual sum of every block on the first batch; at load only one block of each kind was checked."""
    precision = precision_of(next(loaded.model.parameters()).dtype)
    # Position 0 is an attention sink, hundreds of times larger than the rest.
    rows = [i for i, where in enumerate(batch.positions) if where != (0,)] or list(range(len(batch.rows)))
    resid, attn, mlp = (torch.from_numpy(values[c][rows]).double() for c in COMPONENTS)
    for layer in range(attn.shape[1]):
        error = sum_error(attn[:, layer], mlp[:, layer], resid[:, layer], resid[:, layer + 1], precision)
        if not error <= precision.sum_limit:
            raise IdentityError(
                f"'{loaded.spec.id}': a streamed block's contributions are off the residual sum by {error:.1e}, "
                f"limit {precision.sum_limit:.0e}",
                "resid[l] + attn[l] + mlp[l] = resid[l+1] at every block",
                "use --weights resident",
            )


class _Slab:
    """Vectors of one group of blocks, collected until they fill a shard."""

    def __init__(self, sweep: Sweep, start: int, last: bool) -> None:
        self._sweep, self._start, self._last = sweep, start, last
        self._batches: list[tuple[Batch, dict[str, FloatArray]]] = []
        self._size = 0

    def add(self, batch: Batch, values: dict[str, FloatArray]) -> None:
        # The stream after a group's last block is stored as the first layer of the next group, if there is one.
        kept = {c: array if c != "resid" or self._last else array[:, :-1] for c, array in values.items()}
        self._batches.append((batch, kept))
        self._size += sum(array.nbytes for array in kept.values())
        if self._size > _SHARD:
            self.flush()

    def flush(self) -> None:
        if not self._batches:
            return
        key = hash_of([self._start, [batch.key for batch, _ in self._batches]])
        rows = [row for batch, _ in self._batches for row in batch.rows]
        values = {c: np.concatenate([vectors[c] for _, vectors in self._batches]) for c in self._batches[0][1]}
        self._sweep.check()
        self._sweep.store.write(key, rows, values, dict.fromkeys(values, self._start))
        self._batches, self._size = [], 0
