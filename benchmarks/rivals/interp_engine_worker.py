"""interp-engine: `capture` of its eager backend (the one for CPUs) on batches of 32, padded on the left.

It derives the position ids from the mask, and keeps whole sequences: the last position is taken from its cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from interp_engine import Address, capture, load_model
from protocol import Texts, Vectors, batches, joined, padded_left, serve


def load(folder: str) -> Callable[[Texts], Vectors]:
    """Return the capture of texts by a model in a folder."""
    model: Any = load_model(folder, backend="eager", dtype="float32")
    return lambda texts: joined([_batch(model, part) for part in batches(texts)])


@torch.inference_mode()
def _batch(model: Any, texts: list[list[int]]) -> Vectors:
    layers = range(model.n_layers)
    points = {
        "resid": [*(Address("resid_pre", i) for i in layers), Address("resid_post", layers[-1])],
        "attn": [Address("attn_out_post", i) for i in layers],
        "mlp": [Address("mlp_out_post", i) for i in layers],
    }
    ids, mask = padded_left(texts)
    cache = capture(model, ids, [a for some in points.values() for a in some], attention_mask=mask)
    return {c: torch.stack([cache[a][:, -1] for a in some], 1) for c, some in points.items()}


if __name__ == "__main__":
    serve("interp-engine", load)
