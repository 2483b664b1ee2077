"""Reading the residual stream and what each sublayer adds to it, by hooks that are always removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import CaptureError
from layeratlas.core.spec import COMPONENTS
from layeratlas.models.anatomy import Anatomy, Contribution, Tap, first_tensor, hidden_of

Select = Callable[[Tensor], Tensor]
Seen = dict[str, list[Tensor]]


@contextmanager
def observe(anatomy: Anatomy, components: Iterable[str], select: Select) -> Iterator[Seen]:
    """Record components during every forward pass made inside the `with`; the hooks are always removed.

    `select` takes a tensor (batch, tokens, d) and must be linear: it gathers rows or takes weighted means. It is
    applied before any subtraction, so that only its result is kept in memory. After a forward pass
    `seen[component][layer]` is the selected tensor in the model's dtype: `resid` has L+1 entries (the input of each
    block, then the output of the last one, before the final norm), `attn` and `mlp` L entries (what each sublayer adds
    to the stream; zeros where a block has none). The next forward pass replaces them. The tensors share no memory with
    the model.

    Raises CaptureError for an unknown component.
    """
    wanted = list(dict.fromkeys(components))
    if unknown := [name for name in wanted if name not in COMPONENTS]:
        raise CaptureError(f"unknown component '{unknown[0]}'", f"one of {', '.join(COMPONENTS)}")
    blocks = list(anatomy.blocks)
    seen: Seen = {name: [torch.empty(0)] * (len(blocks) + (name == "resid")) for name in wanted}
    handles: list[Any] = []
    try:
        if "resid" in seen:
            handles += _watch_stream(blocks, seen["resid"], select)
        for name in wanted:
            if name != "resid":
                for layer, contribution in enumerate(anatomy.sublayers[name]):
                    handles += _watch_sublayer(blocks[layer], contribution, seen[name], layer, select)
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _watch_stream(blocks: list[nn.Module], into: list[Tensor], select: Select) -> list[Any]:
    def before(layer: int) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            into[layer] = owned(select, hidden_of(args, kwargs))

        return hook

    def after(module: nn.Module, args: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is not None:
            into[len(blocks)] = owned(select, tensor)

    handles: list[Any] = [
        block.register_forward_pre_hook(before(layer), with_kwargs=True) for layer, block in enumerate(blocks)
    ]
    return [*handles, blocks[-1].register_forward_hook(after)]


def _watch_sublayer(
    block: nn.Module, contribution: Contribution, into: list[Tensor], layer: int, select: Select
) -> list[Any]:
    def heard(parts: list[Tensor], output: Any, tap: Tap) -> None:
        into[layer] = added(parts, contribution)

    def nothing(module: nn.Module, args: Any, kwargs: Any) -> None:
        into[layer] = torch.zeros_like(select(hidden_of(args, kwargs)))

    if contribution.absent:
        return [block.register_forward_pre_hook(nothing, with_kwargs=True)]
    return hook_taps(block, contribution, lambda t: owned(select, t), heard)


def hook_taps(
    block: nn.Module, contribution: Contribution, take: Select, heard: Callable[[list[Tensor], Any, Tap], Any]
) -> list[Any]:
    """Hook a sublayer's taps and return the handles; the caller removes them.

    The value of a tap is `take(output)` of its module, (batch, tokens, d), minus `take` of the input that the module
    has already added, times the tap's scale. After each tap, `heard` is called with the values of this pass so far, the
    module's output and the tap. If `heard` returns a value other than None, it replaces the output.
    """
    contributions: list[Tensor] = []
    batch = [1]

    def start(module: nn.Module, args: Any, kwargs: Any) -> None:
        contributions.clear()
        batch[0] = hidden_of(args, kwargs).shape[0]

    def reader(tap: Tap) -> Any:
        def hook(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            tensor = first_tensor(output)
            if tensor is None:
                return None
            contribution = take(unflatten(tensor, batch[0]))
            if tap.minus is not None:
                handed = args[tap.minus] if isinstance(tap.minus, int) else kwargs[tap.minus]
                contribution = contribution - take(unflatten(handed, batch[0]))
            contributions.append(contribution if tap.scale == 1.0 else contribution * tap.scale)
            return heard(contributions, output, tap)

        return hook

    handles: list[Any] = [block.register_forward_pre_hook(start, with_kwargs=True)]
    for tap in contribution.taps:
        handles.append(tap.module.register_forward_hook(reader(tap), with_kwargs=True))
    return handles


def added(contributions: list[Tensor], contribution: Contribution) -> Tensor:
    """Return what a sublayer adds to the residual stream, from the values of its taps."""
    total = contributions[0] if len(contributions) == 1 else torch.stack(contributions).sum(0)
    return total if contribution.scale == 1.0 else total * contribution.scale


def owned(select: Select, tensor: Tensor) -> Tensor:
    """Apply `select`, and copy the result if it is a view, since some models change tensors in place later."""
    chosen = select(tensor)
    same = chosen.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()
    return chosen.clone() if same else chosen


def unflatten(tensor: Tensor, batch: int) -> Tensor:
    """Restore the three axes of a sublayer's tensor if the model merged batch and tokens (as OPT does)."""
    return tensor.reshape(batch, -1, tensor.shape[-1]) if tensor.dim() == 2 else tensor
