"""Attention maps, read from what the attention modules return under the eager kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from layeratlas.models.anatomy import Anatomy

_ROUNDING = 1e-3


@contextmanager
def attention_maps(anatomy: Anatomy) -> Iterator[list[Tensor | None]]:
    """Record each block's attention map (batch, heads, tokens, tokens) in every forward pass made inside the `with`.

    A map is None if the attention module returns none (another kernel, no attention in that block), or if what it
    returns is not a causal attention map. The hooks are always removed.
    """
    maps: list[Tensor | None] = [None] * anatomy.n_layers
    handles: list[Any] = []

    def reader(layer: int) -> Any:
        def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
            # Fused kernels compute no map; a module that keeps a cache may return another tensor instead.
            candidates = [v for v in output if is_map(v)] if isinstance(output, tuple) else []
            maps[layer] = candidates[0] if len(candidates) == 1 else None

        return hook

    try:
        for layer, contribution in enumerate(anatomy.sublayers["attn"]):
            for source in contribution.sources or contribution.taps:
                handles.append(source.module.register_forward_hook(reader(layer)))
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def is_map(value: Any) -> bool:
    """Return whether a value is a causal attention map: no negative or later weights, row sums of at most 1.

    Rows may sum to less than 1, since some models assign weight to no token (GPT-OSS).
    """
    if not isinstance(value, Tensor) or value.dim() != 4 or value.shape[-1] != value.shape[-2]:
        return False
    ahead = torch.triu(value, diagonal=1).abs().max()
    rows = value.sum(-1)
    fine = (value >= 0).all() & (ahead < _ROUNDING) & (rows <= 1 + _ROUNDING).all() & (rows.max() > _ROUNDING)
    return bool(fine)
