"""The routers of mixture-of-experts blocks: found by structure, and read in a forward pass by hooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import Anatomy, first_tensor, hidden_of

_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_top_k")


@dataclass(frozen=True, kw_only=True)
class Router:
    """A block's router: `weight` (experts, d) of its module gives the logits, and each token uses `chosen` experts.

    `sigmoid` routers score each expert independently; their probabilities are the sigmoids divided by their sum.
    """

    block: int
    module: nn.Module
    experts: int
    chosen: int
    sigmoid: bool


@dataclass
class Routed:
    """The routing of the last forward pass, by block.

    `probabilities` (batch, tokens, experts), float32, sum to 1. `used` has the same shape: each chosen expert has an
    equal share, the others 0.
    """

    probabilities: dict[int, Tensor] = field(default_factory=dict)
    used: dict[int, Tensor] = field(default_factory=dict)


def find_routers(anatomy: Anatomy, name: str) -> list[Router]:
    """Return the routers of a model's blocks, in order.

    A router is a module whose only 2-d weight has one row per expert and one column per dimension of the stream. Raises
    ModelError if no block has one.
    """
    config = anatomy.skeleton.config
    counts = {int(count) for key in _COUNTS if isinstance(count := getattr(config, key, None), int) and count > 1}
    chosen = next((int(k) for key in _CHOSEN if (k := getattr(config, key, None))), 1)
    routers = []
    for number, block in enumerate(anatomy.blocks):
        found = [module for module in block.modules() if _experts_of(module, anatomy.width) in counts]
        if len(found) == 1:
            experts = _experts_of(found[0], anatomy.width)
            sigmoid = any("correction_bias" in key for key in found[0].state_dict())
            routers.append(Router(block=number, module=found[0], experts=experts, chosen=chosen, sigmoid=sigmoid))
    if not routers:
        raise ModelError(f"no block of {name} has a router", "a mixture-of-experts model", "leave out --set experts")
    return routers


def _experts_of(module: nn.Module, width: int) -> int:
    """Return the rows of a module's only 2-d parameter, named `weight`; 0 if the module is not a router."""
    matrices = {key: value for key, value in module.named_parameters(recurse=False) if value.dim() > 1}
    weight = matrices.get("weight")
    whole = len(matrices) == 1 and weight is not None and weight.dim() == 2 and weight.shape[1] == width
    return int(weight.shape[0]) if whole and weight is not None and not isinstance(module, nn.Embedding) else 0


@contextmanager
def observe_routers(anatomy: Anatomy, routers: Sequence[Router]) -> Iterator[Routed]:
    """Record what the routers do during every forward pass made inside the `with`; hooks are always removed."""
    routed = Routed()
    handles: list[Any] = []
    try:
        for router in routers:
            batch = [1]
            block = anatomy.blocks[router.block]
            handles.append(block.register_forward_pre_hook(_batch_of(batch), with_kwargs=True))
            handles.append(router.module.register_forward_hook(_reader(router, routed, batch)))
        yield routed
    finally:
        for handle in handles:
            handle.remove()


def _batch_of(batch: list[int]) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        batch[0] = hidden_of(args, kwargs).shape[0]

    return hook


def _reader(router: Router, routed: Routed, batch: list[int]) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        hidden = first_tensor(args)
        if hidden is None:
            raise ModelError(f"the router of block {router.block} was called without a tensor", "hidden states first")
        weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
        logits = nn.functional.linear(hidden.float(), *(w.float() for w in (weight, bias) if isinstance(w, Tensor)))
        shares = logits.sigmoid() if router.sigmoid else logits.softmax(-1)
        shares = shares / shares.sum(-1, keepdim=True)
        routed.probabilities[router.block] = shares.reshape(batch[0], -1, router.experts)
        places = _chosen(output, logits, router)
        used = torch.zeros_like(logits).reshape(-1, router.experts).scatter_(1, places, 1.0) / places.shape[1]
        routed.used[router.block] = used.reshape(batch[0], -1, router.experts)

    return hook


def _chosen(output: Any, logits: Tensor, router: Router) -> Tensor:
    """Return which experts each token uses, (tokens, chosen): from the router's output, else by the highest logits."""
    for part in output if isinstance(output, tuple | list) else ():
        if isinstance(part, Tensor) and part.dtype == torch.int64 and part.shape[-1] == router.chosen:
            return part.reshape(-1, router.chosen)
    return logits.reshape(-1, router.experts).topk(router.chosen, -1).indices
