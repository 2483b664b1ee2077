"""One forward pass: run a batch through the model and return the vectors of its texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from layeratlas.capture.plan import Batch
from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import CaptureError
from layeratlas.models import LoadedModel, observe
from layeratlas.models.devices import to_host
from layeratlas.models.remote import Places


def read_batch(
    model: LoadedModel,
    batch: Batch,
    components: Sequence[str],
    tree: Tensor | dict[str, Tensor] | None = None,
) -> dict[str, FloatArray]:
    """Return `values[component]`, float32 (texts, layers, d), of a batch; `tree` is the mask of a trie's nodes."""
    ids = torch.from_numpy(batch.ids)
    if model.remote is not None:
        return {"resid": model.remote.read(ids, torch.from_numpy(batch.mask), _places(batch)).numpy()}
    depths = None if batch.depths is None else torch.from_numpy(batch.depths)
    mask = torch.from_numpy(batch.mask) if batch.parents is None else tree
    with torch.inference_mode(), observe(model.anatomy, components, _reader(batch, model.device)) as seen:
        model.run(ids, attention_mask=mask, position_ids=depths)
        return {c: to_host(torch.stack(seen[c], 1).float()).numpy() for c in components}


def _places(batch: Batch) -> Places:
    """Return where a batch's texts are read, in the form that a remote model takes."""
    weights = torch.zeros((len(batch.lines), batch.ids.shape[1]))
    for text, positions in enumerate(batch.positions):
        weights[text, list(positions)] = 1 / len(positions)
    single = all(len(positions) == 1 for positions in batch.positions)
    at = torch.tensor([positions[0] for positions in batch.positions]) if single else None
    return Places(lines=torch.tensor(batch.lines), at=at, weights=weights)


def _reader(batch: Batch, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the linear map (lines, tokens, d) -> (texts, d) that reads each text at its positions."""
    lines = torch.tensor(batch.lines, device=device)
    if all(len(p) == 1 for p in batch.positions):
        at = torch.tensor([p[0] for p in batch.positions], device=device)
        return lambda hidden: hidden[lines, at]
    # One product per line: a text's mean must not use values of another line, which may have overflowed.
    places = [sum(line == other for other in batch.lines[:i]) for i, line in enumerate(batch.lines)]
    weights = torch.zeros((len(batch.ids), max(places) + 1, batch.ids.shape[1]), device=device)
    for line, place, positions in zip(batch.lines, places, batch.positions, strict=True):
        weights[line, place, list(positions)] = 1 / len(positions)
    # Means are always computed in float32: bfloat16 sums lose small differences.
    return lambda hidden: torch.bmm(weights, hidden.float())[lines, torch.tensor(places, device=device)]


def check_finite(batch: Batch, values: dict[str, FloatArray], names: Sequence[str] = (), first_layer: int = 0) -> None:
    """Raise CaptureError if an activation is not finite, naming the text, the component and the layer."""
    for component, array in values.items():
        # One value that is not finite makes the sum so; the sum is several times faster than looking at each value.
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(array.sum()):
                continue
        bad = np.argwhere(~np.isfinite(array).all(-1))
        if len(bad):
            row, layer = batch.rows[bad[0][0]], first_layer + bad[0][1]
            which = f" ({names[row]})" if names else ""
            raise CaptureError(
                f"text {row + 1} gave a {component} activation that is not finite at layer {layer}{which}",
                "finite numbers",
                "load the model with --dtype float32 (float16 overflows in some models)",
            )
