"""layeratlas: its own plan (with the proof that the model takes it) and capture, into memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from protocol import Texts, Vectors, serve

from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.core.spec import CaptureSpec, ModelSpec
from layeratlas.models import load as load_model
from layeratlas.store import MemoryStore


def load(folder: str) -> Callable[[Texts], Vectors]:
    """Return the capture of texts by a model in a folder."""
    model, spec = load_model(ModelSpec(id=folder, device="cpu")), CaptureSpec()

    def run(texts: Texts) -> Vectors:
        readings = [Reading(tuple(ids), (len(ids) - 1,)) for ids in texts]
        packing = choose_plan(model, readings, spec)
        store = MemoryStore(store_shape(model, len(readings), spec))
        capture(model, packing.batches, store, form=packing.form)
        points = store.shape.points.items()
        return {c: torch.from_numpy(np.stack([store.read(c, i) for i in range(n)], 1)) for c, n in points}

    return run


if __name__ == "__main__":
    serve("layeratlas", load)
