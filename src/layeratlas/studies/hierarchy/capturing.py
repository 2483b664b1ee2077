"""The first stage: run every distinct text through the model once and keep its vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from layeratlas.core.errors import CaptureError
from layeratlas.data.items import Dataset, Item
from layeratlas.runs.chat import note_example
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.names import ACTIVATIONS
from layeratlas.studies.hierarchy.plan import describe

if TYPE_CHECKING:
    from layeratlas.capture import Reading


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

    model, spec = work.model, work.spec.capture
    texts = _distinct_texts(work)
    if model.chat is not None:
        _note_example(work, texts.readings[0])
    outputs = []
    for data in work.material:
        rows = texts.rows_of(data)
        outputs.append(write_items(work, data, rows, [len(texts.readings[row].ids) for row in rows]))
    shape = store_shape(model, len(texts.readings), spec)
    store = DiskStore(work.folder / ACTIVATIONS, shape, store_key(model, texts.readings, spec), spec.dtype)
    store.check_space()
    packing = choose_plan(model, texts.readings, spec)
    work.manifest["capture"] = packing.record()
    if not store.finished():
        work.progress.note(describe(work, packing, shape))
    capture(model, packing.batches, store, work.progress, packing.form, texts.names)
    return outputs


def _distinct_texts(work: Workspace) -> DistinctTexts:
    """Return the run's texts as tokens; raises CaptureError where one does not fit the model's context."""
    model, texts = work.model, DistinctTexts()
    for data in work.material:
        for number, item in enumerate(data.items, 1):
            if _text_key(item) in texts.rows:
                continue
            name = f"{data.source or data.name}, text {number}"
            reading = _reading(work, item)
            ids = reading.ids
            if model.context and len(ids) > model.context:
                raise CaptureError(
                    f"{name} has {len(ids)} tokens",
                    f"at most {model.context}, the context of {model.info['name']}",
                    "shorten or drop it",
                )
            texts.add(item, reading, name)
    return texts


def _reading(work: Workspace, item: Item) -> Reading:
    """Return a text's tokens and the positions that are read."""
    from layeratlas.capture import Reading
    from layeratlas.capture.plan import chat_positions_of, positions_of

    model, position = work.model, work.spec.capture.position
    if model.chat is not None:
        framed = model.frame(item.text, answer=position == "answer")
        return Reading(ids=framed.ids, positions=chat_positions_of(position, framed.offsets, item.spans))
    # Only a named span needs the characters of each token, which not every tokenizer gives.
    if position.startswith("span:"):
        ids, offsets = model.encode_with_offsets(item.text)
    else:
        ids = model.encode(item.text)
        offsets = [(0, 0)] * len(ids)
    return Reading(ids=tuple(ids), positions=positions_of(position, offsets, item.spans))


def _note_example(work: Workspace, reading: Reading) -> None:
    tokenizer, read = work.model.tokenizer, [reading.ids[place] for place in reading.positions]
    shown = tokenizer.convert_ids_to_tokens(read[-1])
    where = f"read at its token '{shown}'" if len(read) == 1 else f"the mean of {len(read)} tokens, to '{shown}'"
    note_example(work.manifest, tokenizer.decode(reading.ids), f"Position “{work.spec.capture.position}”: {where}.")


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
