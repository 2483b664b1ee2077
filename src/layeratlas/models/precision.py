"""How far two computations of the same thing may differ, by dtype."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """Relative limits of the self-tests for one dtype.

    In fp32 the limits are the library's promise (1e-4; measured errors are about 1e-6). In half precision the residual
    sum rounds at every block, and kernels round differently by batch shape. There the limits catch only gross errors: a
    swapped sublayer, a missing multiplier or a contaminated pad all give errors of order 1.

    `visible` is the size of a contribution, relative to the stream, below which rounding hides its error. `mixing` is
    the smallest change of attention that earlier tokens must cause. `snap` is how close a fitted multiplier must be to
    a number in the config to be replaced by it. `nats_limit` bounds the error of a log-probability, in nats.
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
