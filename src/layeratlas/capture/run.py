"""Run every batch of a plan through the model once and store its vectors."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.capture.masks import Form, tree_mask
from layeratlas.capture.plan import Batch, Reading
from layeratlas.capture.reading import check_finite, read_batch
from layeratlas.capture.streaming import stream
from layeratlas.core.progress import Progress
from layeratlas.core.spec import CaptureSpec, hash_of
from layeratlas.models import LoadedModel
from layeratlas.store import Shape, Store


def store_shape(model: LoadedModel, texts: int, spec: CaptureSpec) -> Shape:
    """Return the shape of a store for these texts."""
    layers = model.anatomy.n_layers
    return Shape(texts, model.anatomy.width, {c: layers + (c == "resid") for c in spec.components})


def store_key(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> str:
    """Return a key that changes with the model's files, its numerics, the texts or the capture settings."""
    keys = ("tokenizer_hash", "dtype", "attention", "layers", "width")
    info = {k: model.info[k] for k in keys}
    # A local model is identified by its files, a hub model by its id and revision.
    info["weights"] = model.info["files"] or [model.info["id"], model.info["revision"]]
    if model.spec.adapter is not None:
        info["id"] = model.info["id"]
    return hash_of([info, [[r.ids, r.positions] for r in readings], spec.model_dump(mode="json")])


def capture(
    model: LoadedModel,
    plan: Sequence[Batch],
    store: Store,
    progress: Progress | None = None,
    form: Form = "padding",
    names: Sequence[str] = (),
) -> None:
    """Run every batch that the store has not finished; `form` is how the model takes the masks of a trie.

    A streamed model goes through in one sweep over its blocks, which restarts from the beginning if it was interrupted.

    Raises CaptureError if an activation is not finite, naming the text (`names`, by row), the component and the layer.
    """
    done = store.finished()
    total = sum(b.ids.size for b in plan)
    with (progress or Progress()).stage("capture", total) as step:
        if model.streamer is not None:
            if not store.complete():
                stream(model, plan, store, step, lambda batch: tree_mask(model, batch, form), names)
            return
        step.advance(sum(b.ids.size for b in plan if b.key in done))
        for batch in plan:
            if batch.key in done:
                continue
            values = read_batch(model, batch, tuple(store.shape.points), tree_mask(model, batch, form))
            check_finite(batch, values, names)
            store.write(batch.key, batch.rows, values)
            step.advance(batch.ids.size)
