"""Workers as processes on this machine, each with its share of the cores and of the GPUs (if any)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from layeratlas.sweeps.engines.contract import Engine, Launch, Worker

# Seconds that a terminated worker has to clean up its folders.
_GRACE = 20.0
# The variable that restricts the devices of a process, for backends other than CUDA (ROCm reads CUDA's too).
_VISIBLE = {"xpu": "ZE_AFFINITY_MASK", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit a worker to its share of the cores."""
    return dict.fromkeys(_THREADS, str(threads))


class ProcessWorker(Worker):
    """A child process; its output goes to `workers/NUMBER.log`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self._process, self._log = process, log

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def is_running(self) -> bool:
        """Return whether it has not ended yet."""
        running = self._process.poll() is None
        if not running:
            self._log.close()
        return running

    def stop(self) -> None:
        """Terminate it with time to clean up, and kill it if that takes too long."""
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Processes(Engine):
    """The default engine."""

    def start(self, launch: Launch, number: int) -> Worker:
        """Start the worker with this number."""
        logs = launch.out / "workers"
        logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **worker_environment(launch.threads)}
        if launch.gpus:
            environment |= _devices(number, launch.gpus)
        log = (logs / f"{os.getpid()}-{number}.log").open("ab")
        command = [sys.executable, "-m", "layeratlas.sweeps.worker", launch.address, launch.plan]
        process = subprocess.Popen(
            [*command, str(os.getpid())], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        return ProcessWorker(process, log)


def _devices(number: int, gpus: int) -> dict[str, str]:
    """Return the variable that sets a worker's devices; those of this process are assigned in turn."""
    import torch

    from layeratlas.models.devices import accelerator

    here = accelerator()
    variable = _VISIBLE.get(here.type if here else "", "CUDA_VISIBLE_DEVICES")
    given = os.environ.get(variable)
    count = torch.accelerator.device_count() if here else 1
    names = given.split(",") if given else [str(index) for index in range(count)]
    return {variable: ",".join(names[(number * gpus + index) % len(names)] for index in range(gpus))}


def make_engine() -> Engine:
    """Return the engine."""
    return Processes()
