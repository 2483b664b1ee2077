"""Start the processes that share a model's weights with this one, and connect to them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence

from torch import distributed as dist
from torch._C._distributed_c10d import TCPStore
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from layeratlas.core.errors import ModelError
from layeratlas.core.processes import module_command
from layeratlas.core.spec import ModelSpec
from layeratlas.models.links import CONNECT, LOOK, Link, late, started

Processes = tuple[subprocess.Popen[bytes], ...]


def start(spec: ModelSpec) -> tuple[Link, Processes]:
    """Start all processes of a spec but this one; raises ModelError if one ends or takes minutes to connect."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=CONNECT)
    others = tuple(_process(number, store.port, spec) for number in range(1, spec.parallel))
    try:
        _await(others, store)
        return Link(spec.parallel, 0, store), others
    except BaseException:
        stop(others)
        raise


def stop(others: Processes) -> None:
    """End processes and wait until they have ended."""
    for process in others:
        process.kill()  # they write nothing
    for process in others:
        process.wait()


def join(number: int, port: int, count: int) -> Link:
    """Connect to the process that started this one."""
    return Link(count, number, TCPStore("127.0.0.1", port, is_master=False, timeout=CONNECT))


def join_torchrun() -> Link:
    """Connect the processes that torchrun started, which include this one."""
    count = int(os.environ["WORLD_SIZE"])
    try:
        store, number, _ = next(rendezvous("env://", timeout=CONNECT))
    except dist.DistError as error:
        raise late(count) from error
    return Link(count, number, PrefixStore("layeratlas", store))


def _await(others: Sequence[subprocess.Popen[bytes]], store: Store) -> None:
    deadline = time.monotonic() + CONNECT.total_seconds()
    while not store.check([started(number) for number in range(1, len(others) + 1)]):
        if any(process.poll() is not None for process in others):
            raise ModelError(
                "a process of --parallel ended before it had connected",
                "all of them running",
                "run the same command again",
            )
        if time.monotonic() > deadline:
            raise late(len(others) + 1)
        time.sleep(LOOK)


def _process(number: int, port: int, spec: ModelSpec) -> subprocess.Popen[bytes]:
    # transformers reads the number of a process's device from LOCAL_RANK.
    environment = os.environ | {"LOCAL_RANK": str(number)}
    command = [*module_command("layeratlas.models.member"), str(os.getpid()), str(number), str(port), written(spec)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def written(spec: ModelSpec) -> str:
    """Return a spec as JSON, including the fields that are not part of a run's identity."""
    own = {name: getattr(spec, name) for name, field in ModelSpec.model_fields.items() if field.exclude}
    return json.dumps({**spec.model_dump(mode="json"), **own})
