"""The routers of mixture-of-experts blocks, read in a forward pass by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import Anatomy, first_tensor, hidden_of

# How a router turns logits (tokens, experts) into scores of the same shape, by name.
SCORES: dict[str, Callable[[Tensor], Tensor]] = {"softmax": lambda logits: logits.softmax(-1), "sigmoid": torch.sigmoid}


@dataclass(frozen=True, kw_only=True)
class Router:
    """A block's router: `gate` gives a logit to each of `experts`; `module` returns the `chosen` ones of each token.

    `module` is `gate` or a module around it. `score` is a name in SCORES; a router's probabilities are its scores
    divided by their sum.
    """

    block: int
    module: nn.Module
    gate: nn.Module
    experts: int
    chosen: int
    score: str


@dataclass(frozen=True)
class Choice:
    """The experts that a router chose: their `places` (tokens, chosen), int64, and their `weights`, same shape."""

    places: Tensor
    weights: Tensor


@dataclass
class Routed:
    """The routing of the last forward pass, by block.

    `probabilities` (batch, tokens, experts), float32, sum to 1. `used` has the same shape: each chosen expert has an
    equal share, the others 0.
    """

    probabilities: dict[int, Tensor] = field(default_factory=dict)
    used: dict[int, Tensor] = field(default_factory=dict)


def logits_of(gate: nn.Module, args: Sequence[Any]) -> Tensor:
    """Return the logits (tokens, experts), float32, of a gate that was called with hidden states as first argument."""
    hidden = first_tensor(args)
    if hidden is None:
        raise ModelError("a router was called without a tensor", "hidden states first", "leave out --set experts")
    weight, bias = (getattr(gate, name, None) for name in ("weight", "bias"))
    found = nn.functional.linear(hidden.float(), *(w.float() for w in (weight, bias) if isinstance(w, Tensor)))
    return found.reshape(-1, found.shape[-1])


def choices_in(output: Any, tokens: int, experts: int) -> list[Choice]:
    """Return what may be the choice among a module's outputs, the likeliest first.

    It is one row of int64 places per token with weights of that shape or for all experts, or weights for all experts
    that are 0 but for equally many in each row (Llama 4).
    """
    tensors = [part for part in output if isinstance(part, Tensor)] if isinstance(output, tuple | list) else []
    rows = [part.reshape(tokens, -1) for part in tensors if part.numel() % tokens == 0]
    floats = [part.float() for part in rows if part.is_floating_point()]
    dense = [part for part in floats if part.shape[1] == experts]
    found = []
    for places in (part for part in rows if part.dtype == torch.int64 and 0 < part.shape[1] <= experts):
        if 0 <= int(places.min()) <= int(places.max()) < experts:
            found += [Choice(places, part) for part in floats if part.shape == places.shape]
            found += [Choice(places, part.gather(1, places)) for part in dense]
    for part in () if found else dense:
        count = int((part[0] != 0).sum())
        if 0 < count < experts and bool(((part != 0).sum(1) == count).all()):
            weights, places = part.topk(count, -1)
            found.append(Choice(places, weights))
    return found


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
            handles.append(router.gate.register_forward_pre_hook(_probabilities(router, routed, batch)))
            handles.append(router.module.register_forward_hook(_use(router, routed, batch)))
        yield routed
    finally:
        for handle in handles:
            handle.remove()


def _batch_of(batch: list[int]) -> Any:
    def hook(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        batch[0] = hidden_of(args, kwargs).shape[0]

    return hook


def _probabilities(router: Router, routed: Routed, batch: list[int]) -> Any:
    def hook(module: nn.Module, args: Any) -> None:
        shares = SCORES[router.score](logits_of(module, args))
        shares = shares / shares.sum(-1, keepdim=True)
        routed.probabilities[router.block] = shares.reshape(batch[0], -1, router.experts)

    return hook


def _use(router: Router, routed: Routed, batch: list[int]) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        shares = routed.probabilities[router.block]
        choices = choices_in(output, shares.shape[0] * shares.shape[1], router.experts)
        if not choices or choices[0].places.shape[1] != router.chosen:
            raise ModelError(
                f"the router of block {router.block} did not choose {router.chosen} experts for every token",
                "as many experts for every token",
                "leave out --set experts",
            )
        used = torch.zeros_like(shares).reshape(-1, router.experts).scatter_(1, choices[0].places, 1.0) / router.chosen
        routed.used[router.block] = used.reshape(batch[0], -1, router.experts)

    return hook
