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
    """One output tensor of a sublayer: the output of `module`, minus the residual input that it has already added.

    `name` is the module's name inside its block; it locates the same tap in a rebuilt block. `minus` is the position or
    keyword of the forward argument to subtract, or None. The difference is multiplied by `scale`.
    """

    name: str
    module: nn.Module
    minus: int | str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Contribution:
    """What one sublayer of one block adds to the residual stream: `scale` times the sum of its taps.

    `sources` are the sublayer modules themselves; a tap may read the norm that follows a sublayer. If there are no
    taps, the block has no such sublayer.
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
    """What the module tree alone shows. Finding it needs no forward pass and works on the meta device.

    `decoder` is the module that owns the list of blocks. `heads` are modules outside the blocks that may run between
    the decoder and the unembedding (ModernBERT's prediction head); none in a multimodal model.
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
    """The blocks, sublayers, final norm and readout of a loaded model, each checked by `self_test`.

    `sublayers[component][layer]` describes what a sublayer of block `layer` adds to the residual stream. `component` is
    `attn` (attention, or another mixer of positions such as a state-space layer) or `mlp`. The final norm may be a
    chain of modules (OPT projects after it). `scale` multiplies the logits, `softcap` bounds them.
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
        """Return the blocks that lack a component; the list is empty for `resid`."""
        contributions = self.sublayers.get(component, ())
        return [layer for layer, contribution in enumerate(contributions) if contribution.absent]

    @torch.no_grad()
    def logits(self, hidden: Tensor) -> Tensor:
        """Map the residual stream to logits as the model does: final norm, unembedding, scale, softcap.

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
        # In a multimodal model, the modules around the language model are image and sound encoders, not heads.
        heads=()
        if config is not model.config
        else tuple(child for child in model.children() if _is_head(child, blocks, unembedding)),
    )


def _roots(model: Any) -> Iterator[nn.Module]:
    """Yield the modules to search for blocks: the text decoder, then the whole model.

    A vision tower may have as many blocks as the decoder, so the decoder comes first. The attribute named decoder may
    be the unembedding, which has no blocks (ModernBERT).
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
