"""The capture of short texts with torch's own products in its linear layers, and with oneDNN's, on one core.

    python benchmarks/products.py [--rounds 5] [--size quick] [--part 4]

On a CPU torch multiplies float32 with MKL, which does not use every instruction of processors that Intel did not make.
Both sides run in turn in one process, in seconds of a core; the third one keeps the weights a second time, in oneDNN's
order. The operator is a private one of torch, so that a version may lack it. The last lines are the largest relative
difference of a vector, and the medians of the paired ratios, torch's own over the others.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from capture_texts import SPEC, ours, texts_of
from torch.overrides import TorchFunctionMode

from layeratlas.capture import Reading, choose_plan
from layeratlas.core.spec import ModelSpec
from layeratlas.models import load
from layeratlas.store import MemoryStore

ROWS = 2048


class OneDnn(TorchFunctionMode):
    """Inside the `with`, linear layers are computed by oneDNN, with reordered weights if `kept` is a dict for them."""

    def __init__(self, kept: dict[int, torch.Tensor] | None = None) -> None:
        super().__init__()
        self._kept = kept

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not torch.nn.functional.linear or kwargs:
            return func(*args, **(kwargs or {}))
        x, weight, bias = (*args, None)[:3]
        if self._kept is not None:
            if id(weight) not in self._kept:
                self._kept[id(weight)] = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS)
            weight = self._kept[id(weight)]
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def difference(one: MemoryStore, other: MemoryStore) -> float:
    """Return the largest relative difference of a vector."""
    worst = 0.0
    for component, points in one.shape.points.items():
        for point in range(points):
            a, b = one.read(component, point), other.read(component, point)
            size = np.maximum(np.linalg.norm(a, axis=-1), 1e-12)
            worst = max(worst, float((np.linalg.norm(a - b, axis=-1) / size).max()))
    return worst


def main() -> None:
    """Print the seconds of every round, and the ratios last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", default="quick")
    parser.add_argument("--part", type=int, default=4, help="every so many groups of texts only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, kept = load(ModelSpec(device="cpu")), dict[int, torch.Tensor]()
    readings = [
        Reading(i, (len(i) - 1,)) for i in map(tuple, map(model.encode, texts_of("short", args.size, args.part)))
    ]
    packing = choose_plan(model, readings, SPEC)
    sides: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "torch's own": nullcontext,
        "oneDNN": OneDnn,
        "oneDNN, weights reordered": lambda: OneDnn(kept),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    stores: dict[str, MemoryStore] = {}
    for turn in range(args.rounds + 1):  # the first one warms up, and reorders the weights
        for name, side in sides.items():
            start = time.process_time()
            with torch.no_grad(), side():
                stores[name] = ours(model, readings, packing)
            seconds[name] += [time.process_time() - start] if turn else []
    first, *others = sides
    for name, values in seconds.items():
        print(f"{name:<26} {statistics.median(values):7.2f} s   rounds: {' '.join(f'{v:.2f}' for v in values)}")
    for name in others:
        print(f"{name}: largest relative difference of a vector {difference(stores[first], stores[name]):.1e}")
    for name in others:
        ratios = [a / b for a, b in zip(seconds[first], seconds[name], strict=True)]
        print(f"{first} / {name}: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
