"""Where a causal language model keeps its blocks, final norm and unembedding: found by structure, not by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from layeratlas.core.errors import ModelError


@dataclass(frozen=True)
class Tap:
    """One tensor that a sublayer gives: what `module` returns, less the input `minus` that it has added itself.

    `name` is the module's name inside its block, so that the tap can be found again in a block rebuilt elsewhere.
    `minus` is the position or the keyword of a forward argument, or None. The whole is multiplied by `scale`.
    """

    name: str
    module: nn.Module
    minus: int | str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Contribution:
    """What one sublayer of one block adds to the residual stream: `scale` times the sum of its taps.

    `sources` are the sublayer modules themselves; a tap may sit on the norm that follows them. Without taps, the block
    has no such sublayer.
    """

    taps: tuple[Tap, ...]
    scale: float = 1.0
    sources: tuple[Tap, ...] = ()

    @property
    def absent(self) -> bool:
        """Whether the block has no such sublayer."""
        return not self.taps


@dataclass(frozen=True, kw_only=True)
class Skeleton:
    """What the module tree alone tells; it needs no forward pass and works on the meta device.

    `decoder` is the module that owns the list of blocks. `heads` are modules of the model that hold no block and may
    run between the decoder and the unembedding (ModernBERT's prediction head); none in a multimodal model.
    """

    decoder: nn.Module
    blocks: nn.ModuleList
    unembedding: nn.Module
    config: Any
    width: int
    heads: tuple[nn.Module, ...] = ()

    @property
    def n_layers(self) -> int:
        """The number of blocks."""
        return len(self.blocks)


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """The parts of a loaded model, each proved by `self_test`.

    `sublayers[component][layer]` says how block `layer` adds to the stream (component `attn`, which may be another
    mixer of positions such as a state-space layer, or `mlp`). The final
    norm may be a chain of modules (OPT projects after it). `scale` multiplies the logits, `softcap` bounds them.
    """

    skeleton: Skeleton
    final_norm: nn.Module
    sublayers: Mapping[str, tuple[Contribution, ...]]
    scale: float = 1.0
    softcap: float | None = None

    @property
    def blocks(self) -> nn.ModuleList:
        """The blocks, in order."""
        return self.skeleton.blocks

    @property
    def unembedding(self) -> nn.Module:
        """The output embeddings; never edit them in place, they may be tied."""
        return self.skeleton.unembedding

    @property
    def n_layers(self) -> int:
        """The number of blocks, L; `resid` has L+1 points."""
        return len(self.skeleton.blocks)

    @property
    def width(self) -> int:
        """The width d of the residual stream."""
        return self.skeleton.width

    def without(self, component: str) -> list[int]:
        """Return the blocks that have no such component; every block has a stream."""
        contributions = self.sublayers.get(component, ())
        return [layer for layer, contribution in enumerate(contributions) if contribution.absent]

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """Read the residual stream out as the model itself does: final norm, unembedding, scale, softcap.

        `hidden`: (..., d), any float dtype. Returns (..., V) in the model's dtype.
        """
        weight = next(self.unembedding.parameters())
        logits: Tensor = self.unembedding(self.final_norm(hidden.to(weight.device, weight.dtype)))
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


def text_config(model: Any) -> Any:
    """Return the part of a model's config that describes its language model."""
    return model.config.get_text_config()


def find_skeleton(model: Any) -> Skeleton:
    """Find the blocks: the only `ModuleList` of length `num_hidden_layers`, not inside another one.

    Raises ModelError where there is none, or more than one.
    """
    config = text_config(model)
    depth = getattr(config, "num_hidden_layers", None)
    kind = type(model).__name__
    unembedding = model.get_output_embeddings()
    if unembedding is None:
        raise ModelError(f"{kind} has no output embeddings", "a causal language model with an unembedding")
    lists = next((candidates for root in _roots(model) if (candidates := _outermost_lists(root, depth))), [])
    if len(lists) != 1:
        names = ", ".join(name for name, _, _ in lists) or "none"
        raise ModelError(
            f"{kind} has {len(lists)} module lists of length {depth} ({names})",
            "exactly one list of num_hidden_layers blocks",
            "this architecture is not supported",
        )
    _, owner, blocks = lists[0]
    return Skeleton(
        decoder=owner,
        blocks=blocks,
        unembedding=unembedding,
        config=config,
        width=int(config.hidden_size),
        # Around a language model that is a part of a larger one there are the encoders of images and sound.
        heads=()
        if config is not model.config
        else tuple(child for child in model.children() if _is_head(child, blocks, unembedding)),
    )


def _roots(model: Any) -> Iterator[nn.Module]:
    """Yield where to look for blocks: the text decoder, since a vision tower may have as many, else the whole model.

    What a model calls its decoder may be its unembedding (ModernBERT), which has no blocks.
    """
    decoder = getattr(model, "get_decoder", lambda: None)()
    yield from (root for root in (decoder, model) if isinstance(root, nn.Module))


def _is_head(child: nn.Module, blocks: nn.ModuleList, unembedding: nn.Module) -> bool:
    return child is not unembedding and all(module is not blocks for module in child.modules())


def _outermost_lists(root: nn.Module, length: int | None) -> list[tuple[str, nn.Module, nn.ModuleList]]:
    lists: list[tuple[str, nn.Module, nn.ModuleList]] = []

    def walk(owner: nn.Module, prefix: str) -> None:
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == length:
                lists.append((prefix + name, owner, child))
            else:
                walk(child, f"{prefix}{name}.")

    walk(root, "")
    return lists


def first_tensor(value: Any) -> Tensor | None:
    """Return the first tensor of a module's output, which may be a tensor, a tuple or a list."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Sequence) and value and isinstance(value[0], Tensor):
        return value[0]
    return None


def hidden_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """Return the hidden states that a block was called with, by position or by keyword."""
    for value in (*args[:1], kwargs.get("hidden_states"), *kwargs.values()):
        if isinstance(value, Tensor) and value.dim() == 3:
            return value
    raise ModelError("a block was called without hidden states", "a tensor (batch, tokens, width) as its first input")
