"""The first stage: run every distinct text through the model once and keep its vectors."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from layeratlas.core.errors import SpecError
from layeratlas.core.files import demand_ownership
from layeratlas.core.spec import CaptureSpec, Component, hash_of
from layeratlas.data.bad_rows import Dropped
from layeratlas.data.items import Dataset, Item
from layeratlas.runs.chat import note_example
from layeratlas.runs.fitting import begin_fitting, leave_out_unfit
from layeratlas.runs.precision import as_settled, rounding_of, settle, turns_of
from layeratlas.runs.splitting import NothingLeftError
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.designs import large_set
from layeratlas.studies.hierarchy.items import write_items
from layeratlas.studies.hierarchy.names import ACTIVATIONS, RESIDUAL
from layeratlas.studies.hierarchy.plan import describe, describe_large

if TYPE_CHECKING:
    from layeratlas.capture import Packing, Reading
    from layeratlas.capture.recomputing import Recomputed
    from layeratlas.models import LoadedModel
    from layeratlas.store import DiskStore, Store


@dataclass(kw_only=True)
class DistinctTexts:
    """The distinct texts of a run as tokens, their names in messages, and the row of each in the activations.

    `sizes` are the numbers of texts that each data set adds to those before it.
    """

    readings: list[Reading] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def add(self, item: Item, reading: Reading, name: str) -> None:
        """Append a text unless it is already present."""
        self.rows[_text_key(item)] = len(self.readings)
        self.readings.append(reading)
        self.names.append(name)

    def rows_of(self, data: Dataset) -> list[int]:
        """Return the row of each item of a data set."""
        return [self.rows[_text_key(item)] for item in data.items]


def _text_key(item: Item) -> str:
    """Return the key of a distinct text: the text and its spans."""
    return json.dumps([item.text, item.spans], sort_keys=True)


def capture_stage(work: Workspace) -> list[str]:
    """Tokenise every distinct text, run it through the model and keep its vectors."""
    from layeratlas.capture import capture, choose_plan, store_key, store_shape
    from layeratlas.store import DiskStore
    from layeratlas.studies.hierarchy.rounding import try_both

    model, spec = work.model, _measurable(work)
    _leave_out_long(work)
    texts = distinct_texts(model, work.material, spec.position)
    if model.chat is not None:
        _note_example(work, texts.readings[0])
    outputs = []
    for data in work.material:
        rows = texts.rows_of(data)
        outputs.append(write_items(work, data, rows, [len(texts.readings[row].ids) for row in rows]))
        if (large := large_set(work, data)) is not None:
            work.progress.note(describe_large(data, large))
    model = settle(work, sum(map(len, work.material)), partial(try_both, work, spec, texts), ACTIVATIONS)
    shape = store_shape(model, len(texts.readings), spec)
    key = store_key(model, texts.readings, spec)
    store = DiskStore(work.common / ACTIVATIONS, shape, key, spec.dtype, turns_of(work))
    with work.progress.stage("prepare", 2) as step:  # forward passes that prove the batches, and tell the time
        packing = choose_plan(model, texts.readings, spec, texts.sizes)
        step.advance()
        _adopt(work, store, packing)
        store.check_space()
        work.manifest["capture"] = packing.record() | {"components": list(spec.components)}
        if not store.finished():
            work.progress.note(describe(work, packing, shape))
    capture(model, packing.batches, store, work.progress, packing.form, texts.names)
    return outputs


def _adopt(work: Workspace, store: DiskStore, packing: Packing) -> None:
    """Take the vectors that other runs of the same sweep have stored of the same batches."""
    if work.turns.helping:
        return
    planned = {batch.key: batch.rows for batch in packing.batches}
    for run in work.models.neighbours(work.folder):
        taken = store.adopt(run / ACTIVATIONS, planned)
        if taken:
            work.progress.note(f"{taken} shards of vectors of the same texts are taken from '{run}'")


def _measurable(work: Workspace) -> CaptureSpec:
    """Return the capture settings without the components that some block of the model lacks; a note names these.

    Zeros in place of a missing MLP would be probed as if they were activations. Raises SpecError if no component is
    left.
    """
    spec, model = work.spec.capture, work.model
    absent = {component: why for component in spec.components if (why := _why_absent(model, component))}
    kept = tuple(component for component in spec.components if component not in absent)
    work.manifest["left_out"] = absent
    for component, why in work.manifest["left_out"].items():
        work.progress.note(f"{component} is not measured: {why}")
    if not kept:
        raise SpecError(
            f"blocks of {model.info['name']} have no {' and no '.join(absent)}",
            "components that every block has",
            "use --component resid",
        )
    return spec.model_copy(update={"components": kept})


def _why_absent(model: LoadedModel, component: str) -> str:
    """Return why a component is not measured; empty if it is measured."""
    if model.remote is not None and component != RESIDUAL:
        return "NDIF gives the residual stream alone"
    absent = len(model.anatomy.without(component))
    return f"{absent} of {model.anatomy.n_layers} blocks have none" if absent else ""


def components_of(work: Workspace) -> tuple[Component, ...]:
    """Return the components that were captured: those of the spec that every block of the model has."""
    captured = work.manifest.get("capture", {}).get("components", work.spec.capture.components)
    return tuple(captured)


@contextlib.contextmanager
def residual_vectors(
    work: Workspace, model: LoadedModel, material: Sequence[Dataset], name: str
) -> Iterator[tuple[Store, DistinctTexts]]:
    """Run the texts of data sets through a model with the run's tokenizer, and yield its residual stream.

    It is kept in memory or, if other processes may compute parts of it, in the folder `name` until it is no longer
    needed. Raises NothingLeftError in a process that comes to help after that.
    """
    from layeratlas.capture import capture, choose_plan, store_shape
    from layeratlas.store import DiskStore, MemoryStore

    texts = distinct_texts(work.model, material, work.spec.capture.position)
    spec = work.spec.capture.model_copy(update={"components": ("resid",)})
    shape, folder = store_shape(model, len(texts.readings), spec), work.common / name
    if work.turns.helping and not folder.exists():
        raise NothingLeftError
    key = hash_of([work.key, name])
    store = DiskStore(folder, shape, key, turns=work.turns) if work.turns.shared else MemoryStore(shape)
    packing = choose_plan(model, texts.readings, spec)
    capture(model, packing.batches, store, work.progress, packing.form, texts.names)
    yield store, texts
    if not work.turns.helping:
        demand_ownership(folder)
        shutil.rmtree(folder, ignore_errors=True)


def recompute(work: Workspace) -> Recomputed:
    """Run a sample of the run's texts again, each alone; return the deviation from their stored vectors."""
    from layeratlas.capture.recomputing import Recomputed, compare_vectors, sample_texts, vectors_alone
    from layeratlas.store.rows import read_rows

    model, readings = as_settled(work), distinct_texts(work.model, work.material, work.spec.capture.position).readings
    spec = work.spec.capture.model_copy(update={"components": components_of(work)})
    lengths = [len(reading.ids) for reading in readings]
    sample = sample_texts(lengths, work.spec.seed)
    alone = vectors_alone(model, [readings[row] for row in sample], spec)
    kept = {
        component: read_rows(work.folder / ACTIVATIONS, component, range(values.shape[1]), sample).swapaxes(0, 1)
        for component, values in alone.items()
    }
    difference = compare_vectors(model, kept, alone, sample, spec.dtype, rounding_of(work))
    return Recomputed.of(difference, lengths, sample)


Encoded = tuple[list[int], list[tuple[int, int]]]


def distinct_texts(model: LoadedModel, material: Sequence[Dataset], position: str) -> DistinctTexts:
    """Return the distinct texts of data sets as tokens, read at a position; all must fit the model's context."""
    from layeratlas.capture import Reading
    from layeratlas.capture.plan import chat_positions_of, positions_of

    texts = DistinctTexts()
    for data in material:
        before = len(texts.readings)
        for number, item in enumerate(data.items, 1):
            if _text_key(item) in texts.rows:
                continue
            ids, offsets = _encode(model, item.text, position)
            find = positions_of if model.chat is None else chat_positions_of
            texts.add(item, Reading(ids=tuple(ids), positions=find(position, offsets, item.spans)), _name(data, number))
        texts.sizes.append(len(texts.readings) - before)
    return texts


def _leave_out_long(work: Workspace) -> None:
    """Leave out, or refuse, texts that are longer than the model's context."""
    begin_fitting(work)
    context = work.model.context
    if not context:
        return
    lengths = {
        text: len(_encode(work.model, text, work.spec.capture.position)[0])
        for data in work.material
        for text in data.texts
    }
    unfit = {
        data.name: {
            number: Dropped(where=_name(data, number + 1), why=f"has {lengths[text]} tokens")
            for number, text in enumerate(data.texts)
            if lengths[text] > context
        }
        for data in work.material
    }
    leave_out_unfit(work, unfit, f"at most {context}, the context of {work.model.info['name']}")


def _name(data: Dataset, number: int) -> str:
    """Return the name of a text in messages; texts are numbered from 1."""
    return f"{data.source or data.name}, text {number}"


def _encode(model: LoadedModel, text: str, position: str) -> Encoded:
    if model.chat is not None:
        framed = model.frame(text, answer=position == "answer")
        return list(framed.ids), list(framed.offsets)
    # Only named spans need character offsets, which not every tokenizer provides.
    if position.startswith("span:"):
        return model.encode_with_offsets(text)
    ids = model.encode(text)
    return ids, [(0, 0)] * len(ids)


def _note_example(work: Workspace, reading: Reading) -> None:
    tokenizer, read = work.model.tokenizer, [reading.ids[place] for place in reading.positions]
    shown = tokenizer.convert_ids_to_tokens(read[-1])
    where = f"read at its token '{shown}'" if len(read) == 1 else f"the mean of {len(read)} tokens, to '{shown}'"
    note_example(work.manifest, tokenizer.decode(reading.ids), f"Position “{work.spec.capture.position}”: {where}.")
