"""Find the routers of a mixture-of-experts model by structure and by what they return in a trial pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import Anatomy
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.routing import SCORES, Choice, Router, choices_in, logits_of

_COUNTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_TRIAL = "Nobody in the town had read the old map, but 37 of them walked to the river, where it rains in spring: why?"
_WITHOUT = "leave out --set experts"
# The largest relative difference between a router's weights and the scores that explain them, in float32 and in units
# of a smaller type's rounding, which also applies to logits of several units.
_CLOSE, _ROUNDINGS = 1e-3, 8
# The better score must have an error this many times smaller than the other's, and the other's must exceed the noise.
_APART, _NOISE = 4.0, 1e-5


@dataclass
class _Gate:
    """A module that may give a block's experts their logits, and what was seen of it in the trial pass."""

    block: int
    module: nn.Module
    around: list[nn.Module]
    experts: int
    logits: Tensor | None = None
    rounding: float = 0.0
    choices: list[Choice] = field(default_factory=list)
    chooser: nn.Module | None = None


def find_routers(model: LoadedModel) -> list[Router]:
    """Return the routers of a model's blocks, in order; it makes one forward pass.

    A router's gate is a module whose only 2-d weight has one row per expert and one column per dimension of the
    stream; its choice is what the outermost module around the gate returns. Its score, a softmax or a sigmoid, is the
    one that reproduces the weights of the chosen experts. Raises ModelError if no block has a router, if the routers do
    not return what they choose, if neither score or both reproduce the weights, or if the weights of the model are not
    all in this process.
    """
    name, gates = model.info["name"], _gates(model.anatomy)
    if not gates:
        raise ModelError(f"no block of {name} has a router", "a mixture-of-experts model", _WITHOUT)
    model.demand_whole("the routers")
    with _watch(gates):
        model.run(torch.tensor([model.encode(_TRIAL)[: model.context]]))
    seen = [gate for gate in gates if gate.choices]
    if not seen:
        raise ModelError(
            f"the routers of {name} do not return the experts that they choose", "their indices or weights", _WITHOUT
        )
    blocks = [gate.block for gate in seen]
    double = next((block for block in blocks if blocks.count(block) > 1), None)
    if double is not None:
        raise ModelError(f"block {double} of {name} has several routers", "one in each block", _WITHOUT)
    return [_router(gate, name) for gate in seen]


def _gates(anatomy: Anatomy) -> list[_Gate]:
    config = anatomy.skeleton.config
    counts = {int(count) for key in _COUNTS if isinstance(count := getattr(config, key, None), int) and count > 1}
    found = []
    for number, block in enumerate(anatomy.blocks):
        inside = [module for module in block.modules() if module is not block]
        for module in inside:
            if (experts := _experts_of(module, anatomy.width)) in counts:
                around = [outer for outer in inside if any(inner is module for inner in outer.modules())]
                found.append(_Gate(number, module, around, experts))
    return found


def _experts_of(module: nn.Module, width: int) -> int:
    """Return the rows of a module's only 2-d parameter, named `weight`; 0 if the module is not a gate."""
    matrices = {key: value for key, value in module.named_parameters(recurse=False) if value.dim() > 1}
    weight = matrices.get("weight")
    whole = len(matrices) == 1 and weight is not None and weight.dim() == 2 and weight.shape[1] == width
    return int(weight.shape[0]) if whole and weight is not None and not isinstance(module, nn.Embedding) else 0


@contextmanager
def _watch(gates: Sequence[_Gate]) -> Iterator[None]:
    """Record the logits of every gate and the choice that the outermost module around it returns."""
    handles: list[Any] = []
    try:
        for gate in gates:
            handles.append(gate.module.register_forward_pre_hook(_note_logits(gate)))
            handles += [module.register_forward_hook(_note_choice(gate)) for module in gate.around]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note_logits(gate: _Gate) -> Any:
    def hook(module: nn.Module, args: Any) -> None:
        gate.logits = logits_of(module, args)
        types = {part.dtype for part in (args[0], *module.parameters(recurse=False)) if part.is_floating_point()}
        gate.rounding = max(torch.finfo(dtype).eps for dtype in types)

    return hook


def _note_choice(gate: _Gate) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> None:
        if gate.logits is None:
            return
        choices = choices_in(output, len(gate.logits), gate.experts)
        if choices:  # outer modules return later
            gate.choices, gate.chooser = choices, module

    return hook


def _router(gate: _Gate, name: str) -> Router:
    assert gate.chooser is not None
    return Router(
        block=gate.block,
        module=gate.chooser,
        gate=gate.module,
        experts=gate.experts,
        chosen=gate.choices[0].places.shape[1],
        score=_score(gate, name),
    )


def _score(gate: _Gate, name: str) -> str:
    """Return the name of the score that the weights of the chosen experts are multiples of."""
    assert gate.logits is not None
    errors = {score: min(_error(of(gate.logits), choice) for choice in gate.choices) for score, of in SCORES.items()}
    best, *others = sorted(errors, key=errors.__getitem__)
    if errors[best] > max(_CLOSE, _ROUNDINGS * gate.rounding):
        raise ModelError(
            f"the router of block {gate.block} of {name} weighs experts by no multiple of the {' or '.join(SCORES)} of "
            f"its logits (relative error {errors[best]:.2g})",
            "one of the two",
            _WITHOUT,
        )
    if min(errors[other] for other in others) < _APART * max(errors[best], _NOISE):
        # For example, the weight of a single chosen expert is 1 where weights are divided by their sum.
        raise ModelError(
            f"the weights of the router of block {gate.block} of {name} fit the {' and the '.join(SCORES)} of its "
            "logits alike",
            "weights that one of them gives",
            _WITHOUT,
        )
    return best


def _error(scores: Tensor, choice: Choice) -> float:
    """Return the relative distance of weights from a multiple of the scores, or of each token's scores over their sum.

    The scale of all weights is free: DeepSeek multiplies them by a constant.
    """
    chosen, errors = scores.gather(1, choice.places), []
    for like in (chosen, chosen / chosen.sum(-1, keepdim=True)):
        scaled = like * (choice.weights.sum() / like.sum())
        errors.append(float((scaled - choice.weights).abs().sum() / choice.weights.abs().sum()))
    return min(errors)
