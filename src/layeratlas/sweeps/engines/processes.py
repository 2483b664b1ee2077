"""Workers as processes on this machine, each with its share of the cores and of the GPUs (if any)."""

from __future__ import annotations

import os
import subprocess
from typing import IO

from layeratlas.core.errors import SpecError
from layeratlas.core.processes import module_command
from layeratlas.sweeps.engines.contract import LOGS, Engine, Launch, Share, Worker

# Seconds that a terminated worker has to clean up its folders.
_GRACE = 20.0
# The variable that restricts the devices of a process, for backends other than CUDA (ROCm reads CUDA's too).
_VISIBLE = {"xpu": "ZE_AFFINITY_MASK", "npu": "ASCEND_RT_VISIBLE_DEVICES"}
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment variables that limit a worker to its share of the cores."""
    return dict.fromkeys(_THREADS, str(threads))


class ProcessWorker(Worker):
    """A child process and the file of its output."""

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
        """Terminate it."""
        self._process.terminate()

    def wait(self) -> None:
        """Give it time to clean up, and kill it if that takes too long."""
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Processes(Engine):
    """The default engine."""

    def devices(self) -> int:
        """Return how many accelerators this process may use."""
        return len(_devices()[1])

    def demand(self, share: Share) -> None:
        """Raise SpecError for more devices than there are, and for memory, which nothing here limits."""
        if share.memory is not None:
            raise SpecError(
                f"processes were given memory={share.memory}",
                "Slurm or Ray, which limit a worker's memory",
                "leave it out, or set what a model may take with 'memory' in the file's [options]",
            )
        wanted, here = share.workers * share.gpus, self.devices()
        if wanted > here:
            raise SpecError(
                f"workers={share.workers} with gpus={share.gpus} need {wanted} GPUs, and this machine has {here}",
                f"at most {here}",
                "use fewer workers" if here else "use gpus=0",
            )

    def start(self, launch: Launch, slot: int) -> Worker:
        """Start a worker; its output goes to `workers/PID-SLOT.log`."""
        logs, share = launch.out / LOGS, launch.share
        logs.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **worker_environment(share.threads)}
        if share.gpus:
            variable, names = _devices()
            environment[variable] = ",".join(names[slot * share.gpus : (slot + 1) * share.gpus])
        log = (logs / f"{os.getpid()}-{slot}.log").open("ab")
        command = [*module_command("layeratlas.sweeps.worker"), launch.address, launch.plan, str(os.getpid())]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return ProcessWorker(process, log)


def _devices() -> tuple[str, list[str]]:
    """Return the variable that names a process's devices, and the names of those that this one may use."""
    import torch

    from layeratlas.models.devices import accelerator

    here = accelerator()
    variable = _VISIBLE.get(here.type if here else "", "CUDA_VISIBLE_DEVICES")
    count = torch.accelerator.device_count() if here else 0
    given = os.environ.get(variable)
    return variable, (given.split(",") if given else [str(index) for index in range(count)])[:count]


def make_engine() -> Engine:
    """Return the engine."""
    return Processes()
