"""Copies of weights from memory to an accelerator that go on beside its computation, on a stream of their own."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from layeratlas.models.devices import pinned, side_stream


class Uploads:
    """Moves modules to a device; `overlaps` tells whether the device has a stream for it (not a CPU, nor mps).

    Any thread may use it, one at a time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, side_stream(device)

    @property
    def overlaps(self) -> bool:
        """Whether copies go on while the device computes; if not, weights are best read to the device at once."""
        return self._stream is not None

    def move(self, modules: Iterable[nn.Module]) -> None:
        """Move the parameters of modules from the CPU to the device, and return when they are there."""
        if self._stream is None:
            raise RuntimeError(f"{self._device} has no stream beside its own")
        there, places = torch.get_device_module(self._device), [m._parameters for m in modules]
        here = {id(weight): weight.detach() for owner in places for weight in owner.values() if weight is not None}
        moved = {key: torch.empty_like(weight, device=self._device) for key, weight in here.items()}
        # The memory of these may have been another tensor's, which work that is still queued reads.
        self._stream.wait_stream(there.current_stream(self._device))
        sources = []  # held until they are copied
        with there.stream(self._stream):
            for key, weight in here.items():
                sources.append(pinned(weight))
                moved[key].copy_(sources[-1], non_blocking=True)
        self._stream.synchronize()
        for owner in places:
            for name, before in list(owner.items()):
                if before is not None:
                    owner[name] = nn.Parameter(moved[id(before)], requires_grad=False)
