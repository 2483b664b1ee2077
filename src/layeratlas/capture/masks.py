"""The attention masks of a trie's nodes, in the form that the model family accepts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from layeratlas.capture.plan import Batch
from layeratlas.capture.trie import ancestors
from layeratlas.models import LoadedModel

Form = Literal["by layer type", "one mask", "padding"]


def tree_mask(model: LoadedModel, batch: Batch, form: Form) -> Tensor | dict[str, Tensor] | None:
    """Return the additive mask (lines, 1, n, n) of a trie's nodes, or one by layer type; None for a padded batch.

    A sliding window counts depth: node i sees an ancestor j where depth(i) - depth(j) < window.
    """
    if batch.parents is None or batch.depths is None:
        return None
    seen, types, window = ancestors(batch.parents), layer_types(model.model.config), _window(model)
    near = seen if window is None else seen & (batch.depths[:, :, None] - batch.depths[:, None] < window)
    dtype = next(model.model.parameters()).dtype
    masks = {"full_attention": _additive(seen, dtype), "sliding_attention": _additive(near, dtype)}
    if form == "by layer type":
        return {name: masks[name] for name in types}
    return masks[next(iter(types))] if types else masks["sliding_attention"]


def _additive(seen: np.ndarray, dtype: torch.dtype) -> Tensor:
    zero, low = torch.tensor(0.0, dtype=dtype), torch.tensor(torch.finfo(dtype).min, dtype=dtype)
    return torch.where(torch.from_numpy(seen), zero, low)[:, None]


def layer_types(config: Any) -> set[str]:
    """Return the set of attention types in a config's list by layer; empty if it names none."""
    return set(getattr(config.get_text_config(), "layer_types", None) or ())


def _window(model: LoadedModel) -> int | None:
    config = model.model.config.get_text_config()
    if getattr(config, "use_sliding_window", True) is False:
        return None
    window = getattr(config, "sliding_window", None)
    return int(window) if window else None
