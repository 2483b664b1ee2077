"""Run every batch of a plan through the model once and store its vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import torch

from layeratlas.capture.hidden import remove_spilled
from layeratlas.capture.masks import Form, tree_mask
from layeratlas.capture.plan import Batch, Reading
from layeratlas.capture.reading import check_finite, read_batch
from layeratlas.capture.streaming import Sweep, stream
from layeratlas.core.progress import Progress, Step
from layeratlas.core.spec import CaptureSpec, hash_of
from layeratlas.core.turns import Check, Part
from layeratlas.models import LoadedModel
from layeratlas.models.products import EXACT
from layeratlas.store import Shape, Store
from layeratlas.store.names import name_of

# Processes that share a capture take ranges of batches: many more than processes, so that all end at about one time.
_RANGES = 128
# Of a streamed model every range reads all weights: so few ranges, of so many tokens each, that computing takes longer.
_STREAMED_RANGES, _CPU_TOKENS, _DEVICE_TOKENS = 16, 2**12, 2**18


def store_shape(model: LoadedModel, texts: int, spec: CaptureSpec) -> Shape:
    """Return the shape of a store for these texts."""
    layers = model.anatomy.n_layers
    return Shape(texts, model.anatomy.width, {c: layers + (c == "resid") for c in spec.components})


def store_key(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> str:
    """Return a key that changes with the model's files, its numerics, the capture settings or the texts.

    Batches of equal content in two stores of one origin have equal vectors (`store/names.py`).
    """
    keys = ("tokenizer_hash", "dtype", "attention", "layers", "width")
    info = {k: model.info[k] for k in keys}
    # A local model is identified by its files, a hub model by its id and revision.
    info["weights"] = model.info["files"] or [model.info["id"], model.info["revision"]]
    if model.spec.adapter is not None:
        info["id"] = model.info["id"]
    if model.products != EXACT:
        info["products"] = model.products
    # Whether products are rounded is decided by the run, whatever was asked for.
    settings = spec.model_dump(mode="json", exclude={"precision"})
    return name_of([info, settings], [[r.ids, r.positions] for r in readings])


def capture(
    model: LoadedModel,
    plan: Sequence[Batch],
    store: Store,
    progress: Progress | None = None,
    form: Form = "padding",
    names: Sequence[str] = (),
) -> None:
    """Run every batch that the store has not finished; `form` is how the model takes the masks of a trie.

    If other processes write into the store too (`store.turns`), they are given ranges of batches. A range of a streamed
    model goes through in one sweep over its blocks, which restarts from the beginning if it was interrupted; if nobody
    else writes, one range is all, so that each weight is read once.

    Raises CaptureError if an activation is not finite, naming the text (`names`, by row), the component and the layer.
    """
    total = sum(b.ids.size for b in plan)
    with (progress or Progress()).stage("capture", total) as step:
        reader = _Reader(model, store, form, names, step)
        parts = reader.parts(plan) if model.streamer is None else reader.sweeps(plan)
        store.turns.each(list(parts), on=kind_of(model))
        where = getattr(store, "folder", None)
        if model.streamer is not None and where is not None and not store.turns.helping:
            remove_spilled(where)


def kind_of(model: LoadedModel) -> str:
    """Return what the last bits of a vector depend on besides the run: the kind of device, and a CPU's threads."""
    kind = str(model.device.type)
    return f"{kind}, {torch.get_num_threads()} threads" if kind == "cpu" else kind


class _Reader:
    """Runs batches through a model into a store."""

    def __init__(self, model: LoadedModel, store: Store, form: Form, names: Sequence[str], step: Step) -> None:
        self._model, self._store, self._form, self._names, self._step = model, store, form, names, step

    def parts(self, plan: Sequence[Batch]) -> Iterator[Part]:
        """Yield ranges of batches as parts of a stage."""
        step = max(1, -(-len(plan) // _RANGES))
        for first in range(0, len(plan), step):
            yield self._part(plan[first : first + step])

    def sweeps(self, plan: Sequence[Batch]) -> Iterator[Part]:
        """Yield ranges of batches as parts of a stage, for a streamed model."""
        total, shared = sum(batch.ids.size for batch in plan), self._store.turns.shared
        least = _CPU_TOKENS if self._model.device.type == "cpu" else _DEVICE_TOKENS
        size = total / max(1, min(_STREAMED_RANGES, total // least)) if shared else total
        ends = np.cumsum([batch.ids.size for batch in plan])
        for _, group in groupby(zip(ends, plan, strict=True), key=lambda pair: (pair[0] - 1) // max(1, size)):
            yield self._sweep([batch for _, batch in group])

    def _sweep(self, batches: Sequence[Batch]) -> Part:
        rows = [row for batch in batches for row in batch.rows]

        def is_done() -> bool:
            self._store.gather()
            return self._store.holds(rows)

        def compute(check: Check) -> None:
            def mask(batch: Batch) -> Any:
                return tree_mask(self._model, batch, self._form)

            made = Sweep(store=self._store, step=self._step, mask=mask, names=self._names, check=check)
            stream(self._model, batches, made)

        size = sum(batch.ids.size for batch in batches)
        name = hash_of([batch.key for batch in batches])
        return Part(name=name, is_done=is_done, compute=compute, skip=lambda: self._step.advance(size))

    def _part(self, batches: Sequence[Batch]) -> Part:
        keys, size = [batch.key for batch in batches], sum(batch.ids.size for batch in batches)

        def is_done() -> bool:
            self._store.gather(keys)
            return self._store.finished().issuperset(keys)

        def compute(check: Check) -> None:
            done = self._store.finished()
            for batch in batches:
                if batch.key not in done:
                    self._run(batch, check)
                self._step.advance(batch.ids.size)

        name = keys[0] if len(keys) == 1 else hash_of(keys)
        return Part(name=name, is_done=is_done, compute=compute, skip=lambda: self._step.advance(size))

    def _run(self, batch: Batch, check: Check) -> None:
        mask = tree_mask(self._model, batch, self._form)
        values = read_batch(self._model, batch, tuple(self._store.shape.points), mask)
        check_finite(batch, values, self._names)
        check()
        self._store.write(batch.key, batch.rows, values)
