"""Independent parts of a calculation, one a core."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(function: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """Return what `function` makes of every item, in order; on a CPU in threads of one core each.

    Where a core has a product and what follows it to itself, it waits for no other core at their ends, and finds the
    numbers in its own cache: a quarter faster than the same products shared out by torch. `function` must enter
    `inference_mode` itself, which is a thread's own.
    """
    cores = torch.get_num_threads()
    if device.type != "cpu" or cores == 1 or len(items) == 1:
        return [function(item) for item in items]
    try:
        with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, items))
    finally:
        torch.set_num_threads(cores)  # of some libraries the number is the whole process's
