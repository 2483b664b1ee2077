"""The stage that captures: every distinct text through the model once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from layeratlas.core.errors import CaptureError
from layeratlas.data.items import Dataset, Item
from layeratlas.runs.tables import write_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.plan import describe

if TYPE_CHECKING:
    from layeratlas.capture import Reading


ACTIVATIONS = "activations"


def capture_stage(work: Workspace) -> list[str]:
    """Tokenise every distinct text once, run it through the model and keep its vectors."""
    where, model = work.spec.capture.position, work.model

    from layeratlas.capture import Reading, capture, choose_plan, store_key, store_shape
    from layeratlas.capture.plan import positions_of
    from layeratlas.store import DiskStore

    rows: dict[tuple[str, str], int] = {}
    readings: list[Reading] = []
    names: list[str] = []
    for data in work.material:
        for number, item in enumerate(data.items, 1):
            if _row_key(item) not in rows:
                rows[_row_key(item)] = len(readings)
                names.append(f"{data.source or data.name}, text {number}")
                ids, offsets = _encode(work, item.text)
                if model.context and len(ids) > model.context:
                    raise CaptureError(
                        f"{names[-1]} has {len(ids)} tokens",
                        f"at most {model.context}, the context of {model.info['name']}",
                        "shorten or drop it",
                    )
                readings.append(Reading(tuple(ids), positions_of(where, offsets, item.spans)))
    outputs = []
    for data in work.material:
        at = [rows[_row_key(item)] for item in data.items]
        outputs.append(write_items(work, data, at, [len(readings[row].ids) for row in at]))
    shape = store_shape(model, len(readings), work.spec.capture)
    key = store_key(model, readings, work.spec.capture)
    store = DiskStore(work.folder / ACTIVATIONS, shape, key, work.spec.capture.dtype)
    store.check_space()
    packing = choose_plan(model, readings, work.spec.capture)
    work.manifest["capture"] = packing.record()
    if not store.finished():
        work.progress.note(describe(work, packing, shape))
    capture(model, packing.batches, store, work.progress, packing.form, names)
    return outputs


def _encode(work: Workspace, text: str) -> tuple[list[int], list[tuple[int, int]]]:
    # Only a named span needs characters, which not every tokenizer gives.
    if work.spec.capture.position.startswith("span:"):
        return work.model.encode_with_offsets(text)
    ids = work.model.encode(text)
    return ids, [(0, 0)] * len(ids)


def _row_key(item: Item) -> tuple[str, str]:
    return item.text, json.dumps(item.spans, sort_keys=True)


def write_items(work: Workspace, data: Dataset, at: Sequence[int], tokens: Sequence[int]) -> str:
    """Write a data set's items with the row of their vectors and their token counts; note it in `run.json`."""
    frame = pl.DataFrame(
        {
            "task": data.name,
            "level": data.level,
            "text": data.texts,
            "label": [item.label for item in data.items],
            "group": [item.group for item in data.items],
            "stratum": data.strata,
            "spans": [json.dumps(item.spans) for item in data.items],
            "row": at,
            "tokens": tokens,
        }
    )
    name = f"items/{data.name}.parquet"
    write_table(work, name, frame)
    counts = {str(c): int((data.y == i).sum()) for i, c in enumerate(data.classes)}
    record = {"name": data.name, "level": data.level, "kind": data.kind, "n": len(tokens), "classes": counts}
    record |= {"n_groups": int(data.groups.max()) + 1, "tokens": {"mean": float(np.mean(tokens)), "max": max(tokens)}}
    others = [d for d in work.manifest["datasets"] if d["name"] != data.name]
    work.manifest["datasets"] = [*others, record]
    return name
