"""The first stage: run every distinct text through the model once and keep its vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from layeratlas.core.errors import CaptureError, SpecError
from layeratlas.core.spec import CaptureSpec, Component
from layeratlas.data.items import Dataset, Item
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.names import ACTIVATIONS
from layeratlas.studies.hierarchy.plan import describe

if TYPE_CHECKING:
    from layeratlas.capture import Reading
    from layeratlas.capture.recomputing import Recomputed


@dataclass(kw_only=True)
class DistinctTexts:
    """The distinct texts of a run as tokens, their names in messages, and the row of each in the activations."""

    readings: list[Reading] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)

    def add(self, item: Item, reading: Reading, name: str) -> None:
        """Append a text that is not there yet."""
        self.rows[_text_key(item)] = len(self.readings)
        self.readings.append(reading)
        self.names.append(name)

    def rows_of(self, data: Dataset) -> list[int]:
        """Return the row of each item of a data set."""
        return [self.rows[_text_key(item)] for item in data.items]


def _text_key(item: Item) -> str:
    """Return what makes two texts one: the text and its spans."""
    return json.dumps([item.text, item.spans], sort_keys=True)


def capture_stage(work: Workspace) -> list[str]:
    """Tokenise every distinct text, run it through the model and keep its vectors."""
    from layeratlas.capture import capture, choose_plan, store_key, store_shape
    from layeratlas.store import DiskStore

    model, spec = work.model, _measurable(work)
    texts = _distinct_texts(work)
    outputs = []
    for data in work.material:
        rows = texts.rows_of(data)
        outputs.append(write_items(work, data, rows, [len(texts.readings[row].ids) for row in rows]))
    shape = store_shape(model, len(texts.readings), spec)
    store = DiskStore(work.folder / ACTIVATIONS, shape, store_key(model, texts.readings, spec), spec.dtype)
    store.check_space()
    packing = choose_plan(model, texts.readings, spec)
    work.manifest["capture"] = packing.record() | {"components": list(spec.components)}
    if not store.finished():
        work.progress.note(describe(work, packing, shape))
    capture(model, packing.batches, store, work.progress, packing.form, texts.names)
    return outputs


def _measurable(work: Workspace) -> CaptureSpec:
    """Return the capture settings without the components that some block of the model lacks, and note these.

    Zeros in the place of an MLP that is not there would be probed as if they were activations. Raises SpecError where
    nothing is left.
    """
    spec, anatomy = work.spec.capture, work.model.anatomy
    absent = {component: blocks for component in spec.components if (blocks := anatomy.without(component))}
    kept = tuple(component for component in spec.components if component not in absent)
    work.manifest["left_out"] = {
        component: f"{len(blocks)} of {anatomy.n_layers} blocks have none" for component, blocks in absent.items()
    }
    for component, why in work.manifest["left_out"].items():
        work.progress.note(f"{component} is not measured: {why}")
    if not kept:
        raise SpecError(
            f"blocks of {work.model.info['name']} have no {' and no '.join(absent)}",
            "components that every block has",
            "use --component resid",
        )
    return spec.model_copy(update={"components": kept})


def components_of(work: Workspace) -> tuple[Component, ...]:
    """Return the components that were captured: those of the spec that every block of the model has."""
    captured = work.manifest.get("capture", {}).get("components", work.spec.capture.components)
    return tuple(captured)


def recompute(work: Workspace) -> Recomputed:
    """Return how far a sample of the run's texts, each run alone, is from its stored vectors."""
    from layeratlas.capture.recomputing import Recomputed, compare_vectors, sample_texts, vectors_alone
    from layeratlas.store.rows import read_rows

    model, readings = work.model, _distinct_texts(work).readings
    spec = work.spec.capture.model_copy(update={"components": components_of(work)})
    lengths = [len(reading.ids) for reading in readings]
    sample = sample_texts(lengths, work.spec.seed)
    alone = vectors_alone(model, [readings[row] for row in sample], spec)
    kept = {
        component: read_rows(work.folder / ACTIVATIONS, component, range(values.shape[1]), sample).swapaxes(0, 1)
        for component, values in alone.items()
    }
    return Recomputed.of(compare_vectors(model, kept, alone, sample, spec.dtype), lengths, sample)


def _distinct_texts(work: Workspace) -> DistinctTexts:
    """Return the run's texts as tokens; raises CaptureError where one does not fit the model's context."""
    from layeratlas.capture import Reading
    from layeratlas.capture.plan import positions_of

    model, texts = work.model, DistinctTexts()
    for data in work.material:
        for number, item in enumerate(data.items, 1):
            if _text_key(item) in texts.rows:
                continue
            name = f"{data.source or data.name}, text {number}"
            ids, offsets = _encode(work, item.text)
            if model.context and len(ids) > model.context:
                raise CaptureError(
                    f"{name} has {len(ids)} tokens",
                    f"at most {model.context}, the context of {model.info['name']}",
                    "shorten or drop it",
                )
            positions = positions_of(work.spec.capture.position, offsets, item.spans)
            texts.add(item, Reading(ids=tuple(ids), positions=positions), name)
    return texts


def _encode(work: Workspace, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    # Only a named span needs the characters of each token, which not every tokenizer gives.
    if work.spec.capture.position.startswith("span:"):
        return work.model.encode_with_offsets(text)
    ids = work.model.encode(text)
    return ids, [(0, 0)] * len(ids)


def write_items(work: Workspace, data: Dataset, rows: Sequence[int], tokens: Sequence[int]) -> str:
    """Write a data set's items with the row of their vectors and their token counts, and describe it in `run.json`."""
    frame = pl.DataFrame(
        {
            "task": data.name,
            "level": data.level,
            "text": data.texts,
            "label": [item.label for item in data.items],
            "group": [item.group for item in data.items],
            "stratum": data.strata,
            "spans": [json.dumps(item.spans) for item in data.items],
            "row": rows,
            "tokens": tokens,
        }
    )
    write_table(work, items_file(data), frame)
    record = {
        "name": data.name,
        "level": data.level,
        "kind": data.kind,
        "n": len(tokens),
        "classes": {str(name): int((data.y == code).sum()) for code, name in enumerate(data.classes)},
        "n_groups": int(data.groups.max()) + 1,
        "tokens": {"mean": float(np.mean(tokens)), "max": max(tokens)},
    }
    others = [other for other in work.manifest["datasets"] if other["name"] != data.name]
    work.manifest["datasets"] = [*others, record]
    return items_file(data)


def items_file(data: Dataset) -> str:
    """Return the file of a data set's items, in the run's folder."""
    return f"items/{data.name}.parquet"
