"""Edits of the residual stream and of what sublayers add to it, by hooks that are always removed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layeratlas.core.edits import EMBEDDINGS, Edit
from layeratlas.core.errors import ModelError, SpecError
from layeratlas.core.spec import Component
from layeratlas.models.anatomy import Anatomy, Contribution, Tap, first_tensor, hidden_of
from layeratlas.models.caches import cache_in
from layeratlas.models.changing import Change, Lines, change_of
from layeratlas.models.devices import wide
from layeratlas.models.loaded import LoadedModel
from layeratlas.models.observing import added, hook_taps, observe


@contextmanager
def intervene(model: LoadedModel, edits: Sequence[Edit], first: int = 1) -> Iterator[Lines]:
    """Apply edits in every forward pass made inside the `with`; the hooks are always removed.

    Positions before `first` are not edited (position 0 is an attention sink). Several edits of one component and layer
    are applied in the order given. `observe` inside the `with` sees edited values; around it, values before the edit.
    For `attn` and `mlp` the contribution to the stream is edited, after post-norms and multipliers. If text numbers
    matter (noise in batches), set `samples` on the yielded object before each pass. Lines that pack several texts (a
    prefix trie, whose positions are its depths) support every edit except noise, which assumes one text per line.

    Raises ModelError for a streamed model or a block that the model does not have, SpecError for vectors of another
    width.
    """
    _check(model, edits)
    anatomy, lines = model.anatomy, Lines(first)
    handles: list[Any] = []
    try:
        handles.append(_watch_positions(anatomy.skeleton.decoder, lines))
        for edit in edits:
            for place, layer in enumerate(edit.layers):
                handles += _edit_one(anatomy, edit, layer, change_of(edit, place, lines), lines)
        yield lines
    finally:
        for handle in handles:
            handle.remove()


def _check(model: LoadedModel, edits: Sequence[Edit]) -> None:
    if not isinstance(model, LoadedModel):
        raise SpecError(f"the model is {model!r}", "a model that layeratlas.models.load returned")
    if not isinstance(edits, Sequence) or not all(isinstance(edit, Edit) for edit in edits):
        raise SpecError(f"the edits are {edits!r}", "a list of Edit")
    model.demand_whole("interventions")
    for edit in edits:
        if max(edit.layers) >= model.anatomy.n_layers:
            raise ModelError(
                f"an edit of block {max(edit.layers)}", f"blocks 0 to {model.anatomy.n_layers - 1} of this model"
            )
        if absent := sorted(set(model.anatomy.without(edit.component)) & set(edit.layers)):
            raise ModelError(
                f"block {absent[0]} of '{model.spec.id}' has no {edit.component}", "an edit of what is there"
            )
        if edit.vectors is not None and edit.vectors.shape[1] != model.anatomy.width:
            raise SpecError(f"vectors of width {edit.vectors.shape[1]}", f"{model.anatomy.width}, the stream's")


def _watch_positions(decoder: nn.Module, lines: Lines) -> Any:
    signature = inspect.signature(decoder.forward)

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        given = signature.bind_partial(*args, **kwargs).arguments
        given |= given.pop("kwargs", {})
        positions = given.get("position_ids")
        if isinstance(positions, Tensor) and positions.dim() == 2:
            lines.positions = positions
            return
        ids = given.get("input_ids")
        tokens = (ids if ids is not None else given["inputs_embeds"]).shape[1]
        cache = cache_in(given)
        start = 0 if cache is None else int(cache.get_seq_length())
        lines.positions = torch.arange(start, start + tokens)[None]

    return decoder.register_forward_pre_hook(before, with_kwargs=True)


def _edit_one(anatomy: Anatomy, edit: Edit, layer: int, change: Change, lines: Lines) -> list[Any]:
    if edit.component != "resid":
        return _edit_sublayer(anatomy.blocks[layer], anatomy.sublayers[edit.component][layer], change)
    if layer == EMBEDDINGS:
        return [anatomy.blocks[0].register_forward_pre_hook(_input_hook(change), with_kwargs=True)]
    if edit.kind == "skip":
        return _skip(anatomy.blocks[layer], lines)

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        return None if tensor is None else with_first(output, change(tensor))

    return [anatomy.blocks[layer].register_forward_hook(after)]


def _input_hook(change: Change) -> Any:
    def before(module: nn.Module, args: Any, kwargs: Any) -> Any:
        given = hidden_of(args, kwargs)
        return swapped(args, kwargs, given, change(given))

    return before


def _skip(block: nn.Module, lines: Lines) -> list[Any]:
    # The block still runs, since its cache must grow; only its output is replaced.
    kept: list[Tensor] = []

    def before(module: nn.Module, args: Any, kwargs: Any) -> None:
        kept[:] = [hidden_of(args, kwargs).clone()]

    def after(module: nn.Module, args: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return None
        return with_first(output, torch.where(lines.late(tensor.device), kept.pop(), tensor))

    return [block.register_forward_pre_hook(before, with_kwargs=True), block.register_forward_hook(after)]


def _edit_sublayer(block: nn.Module, contribution: Contribution, change: Change) -> list[Any]:
    """Hook a sublayer's taps; the change is added to the output of the last tap that is called."""

    def heard(parts: list[Tensor], output: Any, tap: Tap) -> Any:
        tensor = first_tensor(output)
        if tensor is None or len(parts) < len(contribution.taps):
            return None
        total = added(parts, contribution)
        delta = (change(total) - total) / (contribution.scale * tap.scale)
        return with_first(output, tensor + delta.reshape(tensor.shape))

    # With several taps, clone each value: the model may change it in place afterwards.
    alone = len(contribution.taps) == 1
    return hook_taps(block, contribution, (lambda t: t) if alone else torch.clone, heard)


def with_first(output: Any, tensor: Tensor) -> Any:
    """Return a module's output with its first tensor replaced."""
    if isinstance(output, Tensor):
        return tensor
    return type(output)([tensor, *output[1:]])


def swapped(args: Any, kwargs: Any, old: Tensor, new: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return a call's arguments with one tensor replaced by another, positional or keyword."""
    return (
        tuple(new if value is old else value for value in args),
        {key: new if value is old else value for key, value in kwargs.items()},
    )


def mean_vectors(
    model: LoadedModel, ids: Sequence[NDArray[np.int64]], component: Component, layers: Sequence[int], first: int = 1
) -> NDArray[np.float32]:
    """Return the mean of a component over all texts and all positions from `first` on, (blocks, d), for an edit `mean`.

    `resid` of a block is its output. Every position has equal weight, so longer texts count for more.
    """
    total = np.zeros((len(layers), model.anatomy.width))
    count = 0
    for text in ids:
        with (
            torch.inference_mode(),
            observe(model.anatomy, [component], lambda h: wide(h[:, first:]).sum(1)) as seen,
        ):
            model.run(torch.from_numpy(np.asarray(text, np.int64))[None])
        at = [layer + (component == "resid") for layer in layers]
        total += torch.stack([seen[component][i][0] for i in at]).cpu().numpy()
        count += max(len(text) - first, 0)
    if count <= 0:
        raise SpecError("no text is longer than the positions left out", "texts of two tokens or more")
    mean: NDArray[np.float32] = (total / count).astype(np.float32)
    return mean
