"""The connection of the processes that hold one model together: calls of the leader, and what became of a load."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta

import torch
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store

from layeratlas.core.errors import ModelError

# Until all processes have connected: each of them imports torch first.
CONNECT = timedelta(minutes=5)
# Seconds between looks at what others have told.
LOOK = 0.02
# A step that all processes take part in. The slowest is to read the weights, which some finish later than others.
_STEP = timedelta(minutes=30)
# The others wait for the next call while the leader probes, so allow for the longest run. They end with the leader.
_IDLE = timedelta(days=7)
# A load that has failed in one process is given this long to fail in the others too.
_BOTH = timedelta(seconds=30)


class Link:
    """The connection of `count` processes, of which this one has the `number`; number 0 leads.

    torch.distributed allows one at a time.
    `broken`: the processes are out of step, and cannot be used again. Raises ModelError if they do not connect within
    minutes.
    """

    def __init__(self, count: int, number: int, store: Store) -> None:
        self.count, self.number, self.broken = count, number, False
        self._store, self._loads = store, 0
        here = torch.accelerator.current_accelerator(check_available=True)
        backend = "gloo" if here is None else f"cpu:gloo,{here.type}:{dist.get_default_backend_for_device(here)}"
        store.set_timeout(CONNECT)
        try:
            store.set(started(number), "")
            store.wait([started(one) for one in range(count)])
            dist.init_process_group(
                backend, store=PrefixStore("group", store), rank=number, world_size=count, timeout=_STEP
            )
            self._calls = dist.new_group(backend="gloo", timeout=_IDLE)
        except dist.DistError as error:
            raise late(count) from error

    def send(self, tensors: dict[str, Tensor], words: dict[str, str]) -> None:
        """Send tensors and strings to the other processes."""
        own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        message = torch.frombuffer(bytearray(pack(own, {"words": json.dumps(words)})), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(message)]), 0, group=self._calls)
        dist.broadcast(message, 0, group=self._calls)

    def receive(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Wait for what the leader sends next; return its tensors and its strings."""
        size = torch.zeros(1, dtype=torch.long)
        dist.broadcast(size, 0, group=self._calls)
        message = torch.zeros(int(size), dtype=torch.uint8)
        dist.broadcast(message, 0, group=self._calls)
        raw = message.numpy().tobytes()
        head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        words: dict[str, str] = json.loads(head["__metadata__"]["words"])
        return unpack(raw), words

    def begin_load(self) -> None:
        """Begin a load, which all processes take part in."""
        self._loads += 1

    def tell(self, error: str = "") -> None:
        """Tell the others that this process has loaded the model, or why not."""
        self._store.set(self._told(self.number), error)

    def errors(self) -> list[str]:
        """Return why the load has failed in other processes, as far as they have told."""
        keys = [self._told(number) for number in range(self.count) if number != self.number]
        told = [self._store.get(key).decode() for key in keys if self._store.check([key])]
        return [error for error in told if error]

    def have_told(self, numbers: Iterable[int], failed: bool, lost: Callable[[], object] = lambda: None) -> bool:
        """Wait until processes have told what became of the load; return False if they do not in time or are `lost`.

        After a failure here they have seconds: all read the same files, and fail alike.
        """
        keys = [self._told(number) for number in numbers]
        deadline = time.monotonic() + (_BOTH if failed else _STEP).total_seconds()
        while not self._store.check(keys):
            if lost() or time.monotonic() > deadline:
                return False
            time.sleep(LOOK)
        return True

    def _told(self, number: int) -> str:
        return f"load {self._loads} in {number}"

    def leave(self) -> None:
        """Disconnect at the same time as the other processes; leaving first would break their connection."""
        dist.barrier(group=self._calls)
        self.cut()

    def cut(self) -> None:
        """Disconnect, whatever the other processes do."""
        with suppress(RuntimeError, ValueError, AssertionError):
            dist.destroy_process_group()


def started(number: int) -> str:
    """Return the key by which a process tells that it has started."""
    return f"process {number}"


def late(count: int) -> ModelError:
    """Return the error of processes that do not connect."""
    minutes = int(CONNECT.total_seconds() // 60)
    return ModelError(
        f"the {count} processes of --parallel did not connect within {minutes} minutes",
        "all of them started, on machines that reach each other",
        "run the same command again",
    )
