"""nnsight: a trace per batch of 32, as its documentation batches prompts, stopped before the unembedding.

nnsight pads on the left and derives the position ids from the mask; the last token is then `[:, -1]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nnsight import TransformersModel, save
from protocol import Texts, Vectors, batches, joined, serve


def load(folder: str) -> Callable[[Texts], Vectors]:
    """Return the capture of texts by a model in a folder."""
    model: Any = TransformersModel(folder, task="text-generation", dispatch=True, dtype=torch.float32)
    return lambda texts: joined([_batch(model, part) for part in batches(texts)])


@torch.no_grad()
def _batch(model: Any, ids: list[list[int]]) -> Vectors:
    with model.trace(ids) as tracer:
        resid, attn, mlp = save([]), save([]), save([])
        for layer in model.model.layers:
            resid.append(layer.input[:, -1])
            attn.append(layer.self_attn.output[0][:, -1])
            mlp.append(layer.mlp.output[:, -1])
        resid.append(model.model.layers[-1].output[:, -1])
        tracer.stop()
    return {"resid": torch.stack(resid, 1), "attn": torch.stack(attn, 1), "mlp": torch.stack(mlp, 1)}


if __name__ == "__main__":
    serve("nnsight", load)
