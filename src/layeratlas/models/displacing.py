"""Add a separate vector to each of several tokens in a forward pass, by hooks that are always removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layeratlas.core.arrays import FloatArray, Ints
from layeratlas.core.errors import ModelError
from layeratlas.models.anatomy import first_tensor, hidden_of
from layeratlas.models.intervening import swapped, with_first
from layeratlas.models.loaded import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Displacement:
    """What to add at one layer: `vectors` (m, d), to the tokens at rows `lines` and columns `columns`, (m,) each."""

    lines: Ints
    columns: Ints
    vectors: FloatArray


@contextmanager
def displace(model: LoadedModel, at: Mapping[int, Displacement]) -> Iterator[None]:
    """Add vectors at points of the residual stream (0: the embeddings, l: the output of block l - 1).

    Sums are taken in float32. Raises ModelError for a streamed model.
    """
    if model.streamer is not None:
        raise ModelError(
            f"'{model.spec.id}' is streamed, so that no forward pass holds all its blocks",
            "a model whose weights are in memory to edit its stream",
            "use --weights resident",
        )
    handles: list[Any] = []
    blocks = model.anatomy.blocks
    try:
        for point, displacement in at.items():
            if point == 0:
                handles.append(blocks[0].register_forward_pre_hook(_before(displacement), with_kwargs=True))
            else:
                handles.append(blocks[point - 1].register_forward_hook(_after(displacement)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _moved(values: Tensor, displacement: Displacement) -> Tensor:
    lines, columns = (
        torch.from_numpy(np.asarray(a)).to(values.device) for a in (displacement.lines, displacement.columns)
    )
    added = torch.from_numpy(displacement.vectors).to(values.device).float()
    moved = values.clone()
    moved[lines, columns] = (values[lines, columns].float() + added).to(values.dtype)
    return moved


def _before(displacement: Displacement) -> Any:
    def hook(module: Any, args: Any, kwargs: Any) -> Any:
        given = hidden_of(args, kwargs)
        return swapped(args, kwargs, given, _moved(given, displacement))

    return hook


def _after(displacement: Displacement) -> Any:
    def hook(module: Any, args: Any, output: Any) -> Any:
        tensor = first_tensor(output)
        return None if tensor is None else with_first(output, _moved(tensor, displacement))

    return hook
