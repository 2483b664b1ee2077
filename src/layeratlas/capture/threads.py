"""Run independent items of a calculation in parallel, one per CPU core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """Return `function(item)` for every item, in order; on a CPU, in one single-core thread per core.

    A core that computes a whole product and its follow-up alone does not wait for other cores and finds the numbers in
    its cache. This is a quarter faster than letting torch divide each product among cores. `function` must enter
    `inference_mode` itself, since the mode is per thread.
    """
    cores = torch.get_num_threads()
    if device.type != "cpu" or cores == 1 or len(items) == 1:
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(cores)  # in some libraries the setting is per process
