"""How a model's float32 matrices are multiplied: as they are, or with factors rounded to bfloat16.

Rounded products are summed in float32 and then rounded once more, as torch returns them. All else stays in float32:
weights in memory, residual stream, norms, attention, activation functions.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from layeratlas.models.devices import synchronize

Products = Literal["float32", "bfloat16"]
EXACT: Products = "float32"
ROUNDED: Products = "bfloat16"
# Rows of the products that are timed; about as many tokens as a forward pass has.
_ROWS = 2048
_TIMES = 5


class _Rounded(TorchFunctionMode):
    """Within it, linear layers with float32 weights multiply in bfloat16.

    Weights are rounded anew for each product, which takes a hundredth of its time and no memory that lasts.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if function is functional.linear:
            return _linear(function, *args, **given)
        if function is torch.addmm and not given:
            return _addmm(function, *args)
        return function(*args, **given)


def _linear(product: Callable[..., Tensor], input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if input.dtype is not torch.float32 or weight.dtype is not torch.float32:
        return product(input, weight, bias)
    rounded = product(input.bfloat16(), weight.bfloat16()).float()
    return rounded if bias is None else rounded + bias


def _addmm(product: Callable[..., Tensor], bias: Tensor, input: Tensor, weight: Tensor) -> Tensor:
    """Multiply as GPT-2's layers do, whose weights are transposed."""
    if input.dtype is not torch.float32 or weight.dtype is not torch.float32:
        return product(bias, input, weight)
    return bias + torch.mm(input.bfloat16(), weight.bfloat16()).float()


def multiplying(products: Products) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which this thread's linear layers multiply in that way."""
    return contextlib.nullcontext() if products == EXACT else _Rounded()


@torch.inference_mode()
def gain(device: torch.device, width: int) -> float:
    """Return how many times as fast rounded products are here, (2048, width) x (width, 4 width); 0 if there are none.

    The faster of a few on each side, in turn, rounding included.
    """
    x = torch.randn(_ROWS, width, device=device)
    weight = torch.randn(min(4 * width, 16384), width, device=device)
    best: dict[Products, float] = {EXACT: float("inf"), ROUNDED: float("inf")}
    try:
        for turn in range(_TIMES + 1):
            for products in (EXACT, ROUNDED):
                seconds = _seconds(x, weight, products)
                if turn:  # the first one includes allocations
                    best[products] = min(best[products], seconds)
    except (RuntimeError, TypeError):  # no bfloat16 here
        return 0.0
    return best[EXACT] / best[ROUNDED]


def _seconds(x: Tensor, weight: Tensor, products: Products) -> float:
    synchronize(x.device)
    start = time.perf_counter()
    with multiplying(products):
        functional.linear(x, weight)
    synchronize(x.device)
    return time.perf_counter() - start
