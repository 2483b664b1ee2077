"""The stage that captures the residual stream at the last token of each prompt, at the edited points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from layeratlas.core.arrays import FloatArray, Ints
from layeratlas.core.errors import ModelError
from layeratlas.core.spec import CaptureSpec
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, write_shard
from layeratlas.studies.causal.names import vectors_file
from layeratlas.studies.causal.posing import Posed, pose_all

if TYPE_CHECKING:
    from layeratlas.models import LoadedModel

_VECTORS, _ANSWERS = "vectors", "answers"


@dataclass(frozen=True, kw_only=True)
class Read:
    """A set's vectors (points, n, d), float32, and the first tokens of its answers (n, k)."""

    vectors: FloatArray
    answers: Ints


def points_of(layers: int, count: int) -> list[int]:
    """Return `count` evenly spaced points of the stream, from the output of the first block to that of the last."""
    return sorted({round(point) for point in np.linspace(1, layers, min(count, layers))})


def not_streamed(model: str) -> ModelError:
    """Return the error about a model whose stream cannot be edited."""
    return ModelError(
        f"'{model}' is streamed, and the causal study edits its stream",
        "a model whose weights are in memory",
        "use --weights resident or a smaller model",
    )


def refuse_streamed(model: LoadedModel) -> None:
    """Raise ModelError for a model whose stream cannot be edited."""
    if model.streamer is not None:
        raise not_streamed(model.spec.id)


def capture_stage(work: Workspace) -> list[str]:
    """Write the vectors of every set, and record the points and the sets in `run.json`."""
    refuse_streamed(work.model)
    points = points_of(work.model.anatomy.n_layers, work.settings.points)
    work.manifest["points"] = points
    work.manifest["datasets"] = []
    outputs, start = [], 0
    sets = pose_all(work)
    vectors = read_prompts(work, [ids for posed in sets for ids in posed.ids], points)
    for posed in sets:
        own = vectors[:, start : start + len(posed.ids)]
        tensors: dict[str, Any] = {_VECTORS: own, _ANSWERS: posed.answers}
        start += len(posed.ids)
        write_shard(work.folder / vectors_file(posed.data.name), work.key, tensors)
        outputs.append(vectors_file(posed.data.name))
        work.manifest["datasets"].append(_record(work, posed))
    return outputs


def read_prompts(work: Workspace, prompts: Sequence[tuple[int, ...]], points: list[int]) -> FloatArray:
    """Return the stream at the last token of each prompt, (points, n, d)."""
    from layeratlas.capture import Reading, capture, choose_plan, store_shape
    from layeratlas.store import MemoryStore

    model, spec = work.model, CaptureSpec(components=("resid",), batch_tokens=work.spec.capture.batch_tokens)
    readings = [Reading(ids, (len(ids) - 1,)) for ids in prompts]
    with work.progress.stage("prepare", 1):  # forward passes that prove the batches
        packing = choose_plan(model, readings, spec)
    store = MemoryStore(store_shape(model, len(readings), spec))
    capture(model, packing.batches, store, work.progress, packing.form)
    return np.stack([store.read("resid", point) for point in points])


def load_read(work: Workspace, name: str) -> Read:
    """Return the captured vectors of a set; raises StoreError for a damaged file or another run's file."""
    tensors, _ = load_shard(work.folder / vectors_file(name), work.key)
    return Read(vectors=tensors[_VECTORS], answers=tensors[_ANSWERS])


def _record(work: Workspace, posed: Posed) -> dict[str, object]:
    """Return the `run.json` entry of a set."""
    data, lengths = posed.data.dataset, [len(ids) for ids in posed.ids]
    labels = [str(item.label) for item in data.items]
    return {
        "name": data.name,
        "level": data.level,
        "n": len(data.items),
        "n_groups": len({item.group for item in data.items}),
        "classes": {name: labels.count(name) for name in data.classes},
        "tokens": {"mean": float(np.mean(lengths)), "max": max(lengths)},
        "measured": len(posed.measured(work.settings.measured(work.spec.size))),
        "example": posed.data.items[0].text,
        "answers": list(posed.data.items[0].answers),
    }
