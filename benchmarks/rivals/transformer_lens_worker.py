"""TransformerLens: `run_with_cache` on batches of 32, keeping the wanted hooks at the last position alone.

The bridge runs the Hugging Face model; padding is on the left and the bridge derives the position ids from the mask.
`logits_to_keep=1` spares it the unembedding of every other position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from protocol import Texts, Vectors, batches, joined, padded_left, serve
from transformer_lens.model_bridge import TransformerBridge


def load(folder: str) -> Callable[[Texts], Vectors]:
    """Return the capture of texts by a model in a folder."""
    model: Any = TransformerBridge.boot_transformers(folder, device="cpu", dtype=torch.float32)
    return lambda texts: joined([_batch(model, part) for part in batches(texts)])


@torch.inference_mode()
def _batch(model: Any, texts: list[list[int]]) -> Vectors:
    layers = range(model.cfg.n_layers)
    hooks = {
        "resid": [*(f"blocks.{i}.hook_resid_pre" for i in layers), f"blocks.{layers[-1]}.hook_resid_post"],
        "attn": [f"blocks.{i}.hook_attn_out" for i in layers],
        "mlp": [f"blocks.{i}.hook_mlp_out" for i in layers],
    }
    wanted = [name for names in hooks.values() for name in names]
    ids, mask = padded_left(texts)
    _, cache = model.run_with_cache(
        ids, names_filter=wanted, pos_slice=-1, attention_mask=mask, logits_to_keep=1, use_cache=False
    )
    width = model.cfg.d_model
    return {c: torch.stack([cache[name].reshape(len(texts), width) for name in names], 1) for c, names in hooks.items()}


if __name__ == "__main__":
    serve("transformer-lens", load)
