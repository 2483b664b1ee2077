"""The devices that torch knows: which one a name means, what it holds, and what its numbers are good for.

Everything asks torch's own interface for accelerators, so that cuda, rocm, mps, xpu and devices that a package
registers are one case. https://docs.pytorch.org/docs/stable/accelerator.html
"""

from __future__ import annotations

import time

import torch
from torch import Tensor

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

DEVICES = "auto, cpu, cuda, mps, xpu or cuda:N"
# How much faster half precision must be to be worth its rounding.
_FASTER = 2.0
_SQUARE = 2048


def accelerator() -> torch.device | None:
    """Return the accelerator of this machine, without an index, or None where there is none that works."""
    return torch.accelerator.current_accelerator(check_available=True)


def find_device(name: str) -> torch.device:
    """Return the device of a name; `auto` is the accelerator where there is one, else the CPU.

    Raises ModelError for a name that torch does not know and for a device that is not here.
    """
    here = accelerator()
    if name == "auto":
        return here or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ModelError(f"unknown device '{name}'", DEVICES, "use device='auto'") from None
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.accelerator.device_count() if here is not None and here.type == device.type else 0
    if (device.index or 0) >= count:
        others = f"{count} {device.type} devices" if here is None or count else f"this machine has {here.type}"
        raise ModelError(f"no device '{name}' here ({others})", "auto or cpu")
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was given; nothing on a CPU."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def device_memory(device: torch.device) -> int | None:
    """Return the bytes that are free on a device of its own memory, or None where it shares the CPU's or says nothing.

    Memory that torch keeps for itself counts as free.
    """
    module = torch.get_device_module(device)
    if hasattr(module, "mem_get_info"):
        kept = module.memory_reserved(device) - module.memory_allocated(device) if _counts(module) else 0
        return int(module.mem_get_info(device)[0]) + int(kept)
    if hasattr(module, "recommended_max_memory"):
        return int(module.recommended_max_memory()) - int(module.current_allocated_memory())
    return None


def _counts(module: object) -> bool:
    return hasattr(module, "memory_reserved") and hasattr(module, "memory_allocated")


def wide(tensor: Tensor) -> Tensor:
    """Return a tensor in float64: on its own device, or on the CPU where that device has no float64 (mps)."""
    try:
        return tensor.double()
    except (TypeError, RuntimeError):
        return tensor.cpu().double()


def probe_device(name: str) -> torch.device | None:
    """Return the accelerator of a name where probes can run on it, or None: the CPU, and a device without float64."""
    device = find_device(name)
    if device.type == "cpu" or wide(torch.ones(1, device=device)).device.type == "cpu":
        return None
    return device


def matrix_rate(device: torch.device, dtype: torch.dtype, width: int) -> float:
    """Return operations per second of a product (2048, width) x (width, 4 width), the best of a few."""
    x = torch.randn(_SQUARE, width, device=device, dtype=dtype)
    w = torch.randn(width, min(4 * width, 16384), device=device, dtype=dtype)
    best = 0.0
    for _ in range(3):
        synchronize(device)
        start = time.perf_counter()
        x @ w
        synchronize(device)
        best = max(best, 2 * x.numel() * w.shape[1] / (time.perf_counter() - start))
    return best


def settled(spec: ModelSpec) -> ModelSpec:
    """Return the spec with its dtype decided, where it says `auto`.

    float32 on a CPU, where it is exact and half precision gains little; elsewhere bfloat16 where a device multiplies
    it at least twice as fast, which is measured.
    """
    if spec.dtype != "auto":
        return spec
    device = find_device(spec.device)
    return spec.model_copy(update={"dtype": "bfloat16" if _half_pays(device) else "float32"})


def _half_pays(device: torch.device) -> bool:
    if device.type == "cpu":
        return False
    try:
        half = matrix_rate(device, torch.bfloat16, _SQUARE)
    except (RuntimeError, TypeError):  # no bfloat16 here
        return False
    return half >= _FASTER * matrix_rate(device, torch.float32, _SQUARE)
