"""How far two computations of the same thing may differ, by dtype."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """Relative limits of the self-tests for one dtype.

    In fp32 they are the library's promise (1e-4, measured about 1e-6). In half precision the sum of the stream rounds
    at every block and kernels round differently by batch shape, so that the limits only catch gross errors there:
    a swapped sublayer, a missing multiplier or a contaminated pad all give errors of the order of 1.

    `visible` is the size of a contribution, relative to the stream, below which rounding hides its error; `mixing`
    is how much attention must change with the tokens before it; `snap` is how near a fitted multiplier must be to
    a number in the config to be taken for it. `nats_limit` is how far a log-probability may be off, in nats.
    """

    sum_limit: float
    logits_limit: float
    batch_limit: float
    visible: float
    mixing: float
    snap: float
    nats_limit: float


_FULL = Precision(1e-4, 1e-4, 1e-4, visible=2e-3, mixing=1e-3, snap=1e-3, nats_limit=1e-3)
_HALF = {
    torch.float16: Precision(1e-2, 1e-2, 5e-2, visible=0.2, mixing=1e-2, snap=1e-2, nats_limit=0.1),
    torch.bfloat16: Precision(5e-2, 5e-2, 2e-1, visible=0.2, mixing=2e-2, snap=2e-2, nats_limit=0.5),
}


def precision_of(dtype: torch.dtype) -> Precision:
    """Return the limits that hold for a model's dtype."""
    return _HALF.get(dtype, _FULL)


def dtype_of(name: str) -> torch.dtype:
    """Return torch's dtype of that name (`float32`, `bfloat16`, `float16`)."""
    dtype: torch.dtype = getattr(torch, name)
    return dtype
