"""The devices that torch knows: lookup by name, free memory, float64 support and speed.

Only torch's generic accelerator interface is used, so that cuda, rocm, mps, xpu and devices registered by a package
need no separate code. https://docs.pytorch.org/docs/stable/accelerator.html
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import torch
from torch import Tensor

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

DEVICES = "auto, cpu, cuda, mps, xpu or cuda:N"
# How much faster half precision must be to be worth its rounding.
_FASTER = 2.0
_SQUARE = 2048


def accelerator() -> torch.device | None:
    """Return this machine's accelerator, without an index, or None if no accelerator works."""
    return torch.accelerator.current_accelerator(check_available=True)


def find_device(name: str) -> torch.device:
    """Return the device with a given name; `auto` is the accelerator if there is one, else the CPU.

    Raises ModelError for a name that torch does not know or a device that this machine lacks.
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
    """Wait until a device has finished what this thread has queued; a no-op on a CPU.

    Copies on a stream beside it (`side_stream`) are not waited for, where the device has streams.
    """
    if device.type != "cpu":
        module = torch.get_device_module(device)
        module.current_stream(device).synchronize() if hasattr(module, "current_stream") else module.synchronize()


def side_stream(device: torch.device) -> Any | None:
    """Return a new stream of a device, whose copies go on beside the computation; None if it has no streams."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    return module.Stream(device) if hasattr(module, "Stream") and hasattr(module, "stream") else None


def pinned(tensor: Tensor) -> Tensor:
    """Return a copy in memory that an accelerator reads by itself; the tensor, if there is no such memory."""
    try:
        return tensor.pin_memory()
    except RuntimeError:
        return tensor


def to_host(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU.

    From an accelerator it is copied into pinned memory, which torch keeps for the next copy: pageable memory takes
    several times as long.
    """
    if tensor.device.type == "cpu":
        return tensor
    copied = tensor.to("cpu", non_blocking=True)
    synchronize(tensor.device)
    return copied


def device_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device with its own memory; None if it shares the CPU's or does not report it.

    Memory that torch has reserved but does not use counts as free.
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
    """Return a tensor in float64: on its device, or on the CPU if the device has no float64 (mps)."""
    try:
        return tensor.double()
    except (TypeError, RuntimeError):
        return tensor.cpu().double()


def probe_device(name: str) -> torch.device | None:
    """Return the named accelerator if probes can run on it; None for the CPU and for a device without float64."""
    device = find_device(name)
    if device.type == "cpu" or wide(torch.ones(1, device=device)).device.type == "cpu":
        return None
    return device


def matrix_rate(device: torch.device, dtype: torch.dtype, width: int) -> float:
    """Return the operations per second of a matrix product (2048, width) x (width, 4 width), the best of a few runs."""
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
    """Return the spec with dtype `auto` replaced by the dtype for its device.

    On a CPU this is float32, since half precision gains little there. On other devices it is bfloat16 if a measured
    matrix product is at least twice as fast in it, else float32.
    """
    if spec.dtype != "auto":
        return spec
    device = find_device(spec.device)
    return spec.model_copy(update={"dtype": "bfloat16" if _half_pays(device) else "float32"})


@cache
def _half_pays(device: torch.device) -> bool:
    """Return whether half precision gains on a device; measured once, so that all models of a process are alike."""
    if device.type == "cpu":
        return False
    try:
        half = matrix_rate(device, torch.bfloat16, _SQUARE)
    except (RuntimeError, TypeError):  # no bfloat16 here
        return False
    return half >= _FASTER * matrix_rate(device, torch.float32, _SQUARE)
