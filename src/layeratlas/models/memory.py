"""How much memory a model may use."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

import torch

from layeratlas.models.devices import device_memory

_CGROUPS = Path("/sys/fs/cgroup")
# The share of the free memory for a model's weights; a forward pass and the store need the rest.
_SPARE = 0.8


def free_bytes(device: torch.device) -> int:
    """Return the free memory of a device in bytes, within the operating system's limits for this process."""
    own = None if device.type == "cpu" else device_memory(device)
    if own is not None:
        return own
    import psutil

    free = int(psutil.virtual_memory().available)
    for limit, held in _groups():
        with contextlib.suppress(OSError, ValueError, KeyError):  # no such group, or no limit ("max")
            used = dict(line.split() for line in limit.with_name("memory.stat").read_text().splitlines())
            free = min(free, int(limit.read_text()) - int(used[held]))
    status = Path("/proc/self/status")
    if status.exists():
        taken = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if " kB" in line}
        for kind, name in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
            most = resource.getrlimit(kind)[0]
            if most != resource.RLIM_INFINITY:
                free = min(free, most - 1024 * int(taken[name]))
    return max(free, 0)


def _groups() -> Iterator[tuple[Path, str]]:
    """Yield the path of the limit and the name of the memory use of each control group that may contain this process.

    Cached files do not count as used, since the system evicts them on demand.
    """
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for at in {path.lstrip("/"), ""}:
                if not controllers:
                    yield _CGROUPS / at / "memory.max", "anon"
                elif "memory" in controllers.split(","):
                    yield _CGROUPS / "memory" / at / "memory.limit_in_bytes", "rss"


def room_beside(weights: int, memory: float | None, device: torch.device) -> int:
    """Return the bytes that a pass may use beside `weights` bytes of weights that are in memory already.

    It is most of the free memory; a limit `memory` (GB) set by the user holds for both together.
    """
    free = budget(None, device)
    return free if memory is None else max(min(free, budget(memory, device) - weights), 0)


def budget(memory: float | None, device: torch.device) -> int:
    """Return the bytes that a model may use: `memory` (GB), or most of the free memory."""
    return int(memory * 1e9) if memory is not None else int(_SPARE * free_bytes(device))
