"""The forward passes: every batch through the model once, its vectors into the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from layeratlas.capture.plan import Batch, Reading
from layeratlas.contracts import FloatArray, Shape, Store
from layeratlas.errors import CaptureError
from layeratlas.models import LoadedModel, observe
from layeratlas.progress import Progress
from layeratlas.spec import CaptureSpec, hash_of


def store_shape(model: LoadedModel, texts: int, spec: CaptureSpec) -> Shape:
    """Return what a store must hold for these texts."""
    layers = model.anatomy.n_layers
    return Shape(texts, model.anatomy.width, {c: layers + (c == "resid") for c in spec.components})


def store_key(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> str:
    """Return a key that changes with the model's files, its numerics, the texts or the capture settings."""
    keys = ("tokenizer_hash", "dtype", "attention", "layers", "width")
    info = {k: model.info[k] for k in keys}
    # A local model is its files; a hub model is its id and revision.
    info["weights"] = model.info["files"] or [model.info["id"], model.info["revision"]]
    return hash_of([info, [[r.ids, r.positions] for r in readings], spec.model_dump(mode="json")])


def capture(model: LoadedModel, plan: Sequence[Batch], store: Store, progress: Progress | None = None) -> None:
    """Run every batch that the store has not finished.

    Raises CaptureError where an activation is not finite, naming the text, the component and the layer.
    """
    done = store.finished()
    todo = [batch for batch in plan if batch.key not in done]
    with (progress or Progress()).stage("capture", sum(b.ids.size for b in plan)) as step:
        step.advance(sum(b.ids.size for b in plan if b.key in done))
        for batch in todo:
            values = _forward(model, batch, tuple(store.shape.points))
            _check_finite(batch, values)
            store.write(batch.key, batch.rows, values)
            step.advance(batch.ids.size)


def _forward(model: LoadedModel, batch: Batch, components: tuple[str, ...]) -> dict[str, FloatArray]:
    ids = torch.from_numpy(batch.ids).to(model.device)
    mask = torch.from_numpy(batch.mask).to(model.device)
    with torch.inference_mode(), observe(model.anatomy, components, _reader(batch, model.device)) as seen:
        model.run(ids, attention_mask=mask)
        # One copy per component, to float32: what is kept is what a probe reads.
        return {c: torch.stack([seen[c][i] for i in range(len(seen[c]))], 1).float().cpu().numpy() for c in components}


def _reader(batch: Batch, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the linear map (batch, tokens, d) -> (batch, d) that reads each text at its positions."""
    if all(len(p) == 1 for p in batch.positions):
        rows = torch.arange(len(batch.rows), device=device)
        at = torch.tensor([p[0] for p in batch.positions], device=device)
        return lambda hidden: hidden[rows, at]
    weights = torch.zeros(batch.ids.shape, device=device)
    for i, positions in enumerate(batch.positions):
        weights[i, list(positions)] = 1 / len(positions)
    # Means are taken in float32 whatever the weights: bfloat16 sums lose small differences. Indexing first would
    # need ragged rows; padding positions are zeroed by their weight only if finite, hence nan_to_num is not used.
    return lambda hidden: torch.einsum("bt,btd->bd", weights, hidden.float())


def _check_finite(batch: Batch, values: dict[str, FloatArray]) -> None:
    for component, array in values.items():
        bad = np.argwhere(~np.isfinite(array).all(-1))
        if len(bad):
            row, layer = bad[0]
            raise CaptureError(
                f"text {batch.rows[row] + 1} gave a {component} activation that is not finite at layer {layer}",
                "finite numbers",
                "load the model with --dtype float32 (float16 overflows in some models)",
            )
