"""Whether a model can compute a trie, proved on a small one, and the masks that it needs for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from layeratlas.capture.plan import Batch, Reading, make_plan, make_riding_plan
from layeratlas.capture.reading import read_batch
from layeratlas.capture.trie import ancestors, make_trie_plan
from layeratlas.core.spec import COMPONENTS, CaptureSpec
from layeratlas.models import LoadedModel

Form = Literal["by layer type", "one mask", "padding"]
_LIMITS = {"float32": 1e-4, "float16": 5e-2, "bfloat16": 2e-1}


@dataclass(frozen=True)
class Packing:
    """A plan and how it came about: `form` is how masks are given, `why` goes to `run.json`."""

    batches: list[Batch]
    form: Form
    why: str
    tokens: int

    def record(self) -> dict[str, Any]:
        """Return what `run.json` keeps."""
        how = "length-sorted" if self.form == "padding" else "prefix trie"
        return {
            "packing": how,
            "why": self.why,
            "tokens": self.tokens,
            "tokens_computed": sum(int(b.mask.sum()) for b in self.batches),
            "tokens_padded": sum(int(b.ids.size) for b in self.batches),
        }


def choose_plan(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> Packing:
    """Return the batches for these texts.

    With `packing="auto"` the trie is used where the model passes its test: a small trie with branches at several
    depths must give each text the vector that it has alone (relative error under 1e-4 in float32).
    """
    total = sum(len(r.ids) for r in readings)
    form, why = prove(model) if spec.packing == "auto" else ("padding", "asked for")
    make = make_riding_plan if form == "padding" else make_trie_plan
    return Packing(make(readings, spec.batch_tokens), form, why, total)


def prove(model: LoadedModel) -> tuple[Form, str]:
    """Return the form of mask under which a small trie equals its texts alone, or `padding`, and why."""
    types = _layer_types(model)
    if types - {"full_attention", "sliding_attention"}:
        return "padding", f"{model.info['family']} has layers that take no mask per token ({', '.join(sorted(types))})"
    forms: list[Form] = ["by layer type"] if types else ["one mask"]
    if len(types) == 1:
        forms.append("one mask")
    best = float("inf")
    for form in forms:
        with model.sample() as sample:
            error = _error(sample, form)
        if error <= _LIMITS[model.spec.dtype]:
            return form, f"a small trie equals its texts alone to {error:.0e}"
        best = min(best, error)
    found = f"differs from its texts alone by {best:.0e}" if np.isfinite(best) else "cannot be masked"
    return "padding", f"a small trie {found} in {model.info['family']}"


def _error(model: LoadedModel, form: Form) -> float:
    """Return the largest relative difference between packed and single texts, over layers and components."""
    ids = np.random.default_rng(0).integers(3, min(int(model.info["vocabulary"]), 200), size=24).tolist()
    branches = [ids[:6], [*ids[:6], *ids[10:14]], [*ids[:3], *ids[14:18]], [*ids[:3], *ids[14:16], *ids[18:24]]]
    readings = [Reading(tuple(b), (len(b) - 1,)) for b in branches]
    (packed,) = make_trie_plan(readings, 2048, line=12)
    try:
        together = read_batch(model, packed, COMPONENTS, tree_mask(model, packed, form))
    except Exception:  # whatever a family's forward raises on such a mask, it is an answer and not a failure
        return float("inf")
    worst = 0.0
    for i, row in enumerate(packed.rows):
        (single,) = make_plan([readings[row]], 2048)
        alone = read_batch(model, single, COMPONENTS)
        for c in COMPONENTS:
            # Each layer against its own size: a late layer's norm must not hide an early error.
            size = np.maximum(np.linalg.norm(alone[c][0], axis=-1), 1e-12)
            worst = max(worst, float((np.linalg.norm(together[c][i] - alone[c][0], axis=-1) / size).max()))
    return worst if np.isfinite(worst) else float("inf")


def tree_mask(model: LoadedModel, batch: Batch, form: Form) -> Tensor | dict[str, Tensor] | None:
    """Return the additive mask (lines, 1, n, n) of a trie's nodes, or one by layer type; None for a padded batch.

    A sliding window counts depth: node i sees an ancestor j where depth(i) - depth(j) < window.
    """
    if batch.parents is None or batch.depths is None:
        return None
    seen, types, window = ancestors(batch.parents), _layer_types(model), _window(model)
    near = seen if window is None else seen & (batch.depths[:, :, None] - batch.depths[:, None] < window)
    dtype = next(model.model.parameters()).dtype
    masks = {"full_attention": _additive(seen, dtype), "sliding_attention": _additive(near, dtype)}
    if form == "by layer type":
        return {name: masks[name] for name in types}
    return masks[next(iter(types))] if types else masks["sliding_attention"]


def _additive(seen: np.ndarray, dtype: torch.dtype) -> Tensor:
    zero, low = torch.tensor(0.0, dtype=dtype), torch.tensor(torch.finfo(dtype).min, dtype=dtype)
    return torch.where(torch.from_numpy(seen), zero, low)[:, None]


def _layer_types(model: LoadedModel) -> set[str]:
    return set(getattr(model.model.config.get_text_config(), "layer_types", None) or ())


def _window(model: LoadedModel) -> int | None:
    config = model.model.config.get_text_config()
    if getattr(config, "use_sliding_window", True) is False:
        return None
    window = getattr(config, "sliding_window", None)
    return int(window) if window else None
