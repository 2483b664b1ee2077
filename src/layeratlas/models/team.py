"""Processes that hold one model's weights together, by transformers' tensor parallelism; this one leads.

Every process loads the model and runs its self-tests in step. Afterwards only the leader does the work. It announces
each forward pass, and the other processes join in. Every process has the whole residual stream, but only the leader
stores or writes anything. The others end with the leader. https://huggingface.co/docs/transformers/perf_infer_gpu_multi
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
from safetensors.torch import load as unpack
from safetensors.torch import save as pack
from torch import Tensor
from torch import distributed as dist

from layeratlas.core.errors import ModelError
from layeratlas.core.spec import ModelSpec

# The others wait for the next forward pass while the leader probes, so allow for the longest run.
_WAIT = timedelta(days=7)
# Seconds to wait after a broken connection until the ended process shows as ended.
_SETTLE = 1.0
_NONE = torch.zeros(0)
_MEMBER = "LAYERATLAS_MEMBER"
_current: list[Team] = []


class Team:
    """The `count` processes; `leading` is True in the leader once the model is loaded.

    They connect through torch.distributed's environment variables, set by `_name` or by torchrun.
    """

    def __init__(self, count: int, number: int, others: Sequence[subprocess.Popen[bytes]] = ()) -> None:
        self.count, self.number, self.leading = count, number, False
        self._others = others
        here = torch.accelerator.current_accelerator(check_available=True)
        backend = "gloo" if here is None else f"cpu:gloo,{here.type}:{dist.get_default_backend_for_device(here)}"
        dist.init_process_group(backend, rank=number, world_size=count, timeout=_WAIT)

    @property
    def by_torchrun(self) -> bool:
        """Whether torchrun started the processes."""
        return not self._others and self.number == 0

    def announce_load(self, spec: ModelSpec) -> None:
        """Tell the others to load a model."""
        self._send({}, {"load": written(spec)})

    def announce_pass(self, ids: Tensor, mask: Any, positions: Tensor | None, logits: bool) -> None:
        """Tell the others to run a forward pass with these arguments of `LoadedModel.run`."""
        tensors = {"ids": ids} if positions is None else {"ids": ids, "positions": positions}
        kinds: list[str] = []
        if isinstance(mask, Mapping):
            kinds = list(mask)
            tensors |= {f"mask {kind}": _NONE if value is None else value for kind, value in mask.items()}
        elif mask is not None:
            tensors["mask"] = mask
        self._send(tensors, {"logits": json.dumps(logits), "kinds": json.dumps(kinds)})

    @contextmanager
    def together(self) -> Iterator[None]:
        """Run a step that needs all processes; raises ModelError if another process has ended."""
        try:
            yield
        except RuntimeError:
            time.sleep(_SETTLE)
            self._demand_all()
            raise

    def _demand_all(self) -> None:
        if any(process.poll() is not None for process in self._others):
            raise ModelError("a process of --parallel has ended", "all of them running", "run the same command again")

    def _send(self, tensors: dict[str, Tensor], words: dict[str, str]) -> None:
        self._demand_all()
        own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        message = torch.frombuffer(bytearray(pack(own, {"words": json.dumps(words)})), dtype=torch.uint8)
        dist.broadcast(torch.tensor([len(message)]), 0)
        dist.broadcast(message, 0)

    def receive(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Wait for the leader's next announcement; return its tensors and its strings."""
        size = torch.zeros(1, dtype=torch.long)
        dist.broadcast(size, 0)
        message = torch.zeros(int(size), dtype=torch.uint8)
        dist.broadcast(message, 0)
        raw = message.numpy().tobytes()
        head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        words: dict[str, str] = json.loads(head["__metadata__"]["words"])
        return unpack(raw), words

    def close(self) -> None:
        """End the other processes; those started by torchrun are asked to end."""
        self.leading = False
        if self.by_torchrun:
            with suppress(RuntimeError):
                self._send({}, {"end": ""})
                leave()
        for process in self._others:
            process.terminate()
        for process in self._others:
            process.wait()


def team_of(spec: ModelSpec) -> Team:
    """Return the `spec.parallel` processes of a spec; start them if needed."""
    if _current and _current[0].count == spec.parallel:
        return _current[0]
    if _current:
        raise ModelError(
            f"this process leads {_current[0].count} processes and cannot lead {spec.parallel} for another model",
            "the same --parallel for every model of a process",
            "start another Python process",
        )
    number = os.environ.get(_MEMBER)
    if number is not None:
        _name(spec.parallel, int(number), os.environ["MASTER_PORT"])
        _current.append(Team(spec.parallel, int(number)))
        return _current[0]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    others = [_start(number, port, spec) for number in range(1, spec.parallel)]
    _name(spec.parallel, 0, str(port))
    _current.append(Team(spec.parallel, 0, others))
    atexit.register(_current[0].close)
    return _current[0]


def join_torchrun() -> Team:
    """Return the team of processes that torchrun started, which includes this one."""
    _current.append(Team(int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"])))
    return _current[0]


def leave() -> None:
    """Disconnect at the same time as the other processes; leaving first would break their connection."""
    dist.barrier()
    dist.destroy_process_group()


def _name(count: int, number: int, port: str) -> None:
    names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")


def _start(number: int, port: int, spec: ModelSpec) -> subprocess.Popen[bytes]:
    environment = os.environ | {_MEMBER: str(number), "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "layeratlas.models.member", str(os.getpid()), written(spec)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def written(spec: ModelSpec) -> str:
    """Return a spec as JSON, including the fields that are not part of a run's identity."""
    own = {name: getattr(spec, name) for name, field in ModelSpec.model_fields.items() if field.exclude}
    return json.dumps({**spec.model_dump(mode="json"), **own})


@contextmanager
def in_step(spec: ModelSpec) -> Iterator[Team | None]:
    """Load a model in all processes of a spec at once; yields None for a single process."""
    if spec.parallel == 1:
        if _current and _current[0].by_torchrun:
            count = _current[0].count
            raise ModelError(f"torchrun started {count} processes for one model", f"--parallel {count}", "add it")
        yield None
        return
    team = team_of(spec)
    team.leading = False
    if team.number == 0:
        team.announce_load(spec)
    yield team
    team.leading = team.number == 0
