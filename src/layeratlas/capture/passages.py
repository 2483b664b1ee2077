"""Read the residual stream at every token of passages of equal length, with attention maps and the logit lens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layeratlas.core.arrays import FloatArray
from layeratlas.core.errors import CaptureError
from layeratlas.models import LoadedModel, observe
from layeratlas.models.maps import attention_maps


@dataclass(frozen=True, kw_only=True)
class Captured:
    """One passage: `states` float32 (L+1, T, d) without position 0; the others may be None.

    `attention` is float32 (L, heads, T+1, T+1) with position 0. `kl`, `entropy` (nats) and `top` are the logit lens at
    the requested positions, (L+1, positions).
    """

    states: FloatArray
    attention: FloatArray | None
    kl: FloatArray | None
    entropy: FloatArray | None
    top: NDArray[np.int64] | None


def read_passages(
    model: LoadedModel, ids: Sequence[Sequence[int]], maps: bool = False, lens_at: Sequence[int] = ()
) -> list[Captured]:
    """Run passages of equal length through the model once and return them.

    `maps` requests attention maps; they are None if any block gives none. `lens_at` are the indices of states (0 is the
    second token) at which the lens is read. Raises CaptureError if a state is not finite.
    """
    batch = torch.tensor(ids, device=model.device)
    with torch.inference_mode():
        # Later positions depend on position 0, so it is run and cut off afterwards.
        with observe(model.anatomy, ("resid",), lambda h: h[:, 1:]) as seen, attention_maps(model.anatomy) as recorded:
            model.run(batch)
            states = torch.stack(seen["resid"], 1).float()
            attention = _stacked(recorded) if maps else None
        _check_finite(states)
        lens = _lens(model, seen["resid"], list(lens_at)) if lens_at else None
    return [
        Captured(
            states=states[i].cpu().numpy(),
            attention=None if attention is None else attention[i].float().cpu().numpy(),
            kl=_part(lens, "kl", i),
            entropy=_part(lens, "entropy", i),
            top=_part(lens, "top", i),
        )
        for i in range(len(batch))
    ]


def _stacked(maps: list[Tensor | None]) -> Tensor | None:
    given = [each for each in maps if each is not None]
    same = len(given) == len(maps) and len({each.shape for each in given}) == 1
    return torch.stack(given, 1) if same else None


def _check_finite(states: Tensor) -> None:
    bad = (~states.isfinite().all(-1).all(-1)).nonzero()
    if len(bad):
        raise CaptureError(
            f"a passage gave a resid activation that is not finite at layer {int(bad[0][1])}",
            "finite numbers",
            "load the model with --dtype float32 (float16 overflows in some models)",
        )


def _lens(model: LoadedModel, resid: list[Tensor], at: list[int]) -> dict[str, Tensor]:
    last = model.anatomy.logits(resid[-1][:, at]).float().log_softmax(-1)
    chances = last.exp()
    lens: dict[str, list[Tensor]] = {"kl": [], "entropy": [], "top": []}
    for layer in resid:
        log = model.anatomy.logits(layer[:, at]).float().log_softmax(-1)
        lens["kl"].append((chances * (last - log)).sum(-1).clamp_min(0))
        lens["entropy"].append(-(log.exp() * log).sum(-1))
        lens["top"].append(log.argmax(-1))
    return {name: torch.stack(values, 1) for name, values in lens.items()}


def _part(lens: dict[str, Tensor] | None, name: str, i: int) -> Any:
    return None if lens is None else lens[name][i].cpu().numpy()
