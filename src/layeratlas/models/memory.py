"""How much memory a model may take, and how it is shared out when it does not fit."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import torch

_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
# What a forward pass and the store need beside the weights.
_SPARE = 0.8


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device, under the limits that the operating system sets this process."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, used in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
    status = Path("/proc/self/status")
    if status.exists():
        taken = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if " kB" in line}
        for kind, name in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
            most = resource.getrlimit(kind)[0]
            if most != resource.RLIM_INFINITY:
                free = min(free, most - 1024 * int(taken[name]))
    return max(free, 0)


def budget(memory: float | None, device: torch.device) -> int:
    """Return the bytes that a model may take: `memory` in GB, or most of what is free."""
    return int(memory * 1e9) if memory is not None else int(_SPARE * free_bytes(device))
