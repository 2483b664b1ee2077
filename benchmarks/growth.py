"""Costs that grow: CPU seconds and memory against texts, layers, width, shuffles and models, with fitted exponents.

    python benchmarks/growth.py [--quick] [--rounds 3] [--only probes]

Each line varies one quantity and keeps the others. Its exponent is the slope of log seconds over log size between the
two largest sizes, where constants weigh least, and is compared with that of its formula; `!` marks a line that grows
faster than that by more than a quarter. Seconds are CPU seconds of one process, the least of the rounds; memory is the
peak of what Python and numpy allocate. The last line is the largest excess.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import Result, write

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.data.readers.texts import read_table
from layeratlas.probes import make_design, probe_layers
from layeratlas.stats.measures import accuracy
from layeratlas.stats.resampling import Resampler
from layeratlas.store import DiskStore, Shape

SLACK = 0.25
Work = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One cost against one quantity: `work` of a size, and the exponent that its formula has."""

    cost: str
    quantity: str
    formula: str
    exponent: float
    sizes: tuple[int, ...]
    work: Callable[[int], Work]


def data_of(n: int) -> Dataset:
    """Return n texts in groups of two, half of each class."""
    items = tuple(Item(f"text {i}", "ab"[i // 2 % 2], f"group {i // 2}") for i in range(n))
    return Dataset("growth", "growth", items)


def probing(method: str, n: int = 400, width: int = 192, layers: int = 1, shuffles: int = 100) -> Work:
    """Return the probing of layers of noise by one probe."""
    design = make_design(data_of(n), ProbeSpec(methods=(method,), repeats=1, shuffles=shuffles), 0)
    x = np.random.default_rng(0).standard_normal((layers, n, width))
    return lambda: [probe_layers(x[[i]], design, [method]) for i in range(layers)]


def designing(n: int) -> Work:
    """Return the making of folds, shuffles and control tasks."""
    data, spec = data_of(n), ProbeSpec(repeats=1, shuffles=100)
    return lambda: make_design(data, spec, 0)


def resampling(n: int) -> Work:
    """Return the bootstrap of the accuracy of ten layers."""
    data = data_of(n)
    names = [item.group for item in data.items]
    scores = np.random.default_rng(0).standard_normal((10, 1, n, 1))
    return lambda: accuracy(scores, data.y, Resampler(names, 200, 0).weights(names))


def reading(n: int, suffix: str) -> Work:
    """Return the reading of a user's file of n texts."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"texts.{suffix}"
    rows = [{"text": f"The text number {i}.", "label": "ab"[i % 2], "group": f"g{i // 2}"} for i in range(n)]
    if suffix == "json":
        path.write_text(json.dumps(rows, indent=1))
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return lambda folder=folder: read_table(str(path))


def storing(n: int, layers: int = 8, width: int = 64) -> Work:
    """Return the writing of vectors to disk, 500 texts at a time, and the reading of one layer."""
    values = np.random.default_rng(0).standard_normal((500, layers, width)).astype(np.float32)

    def work() -> object:
        with tempfile.TemporaryDirectory() as folder:
            store = DiskStore(Path(folder) / "store", Shape(n, width, {"resid": layers}), "growth")
            for first in range(0, n, 500):
                rows = list(range(first, min(first + 500, n)))
                store.write(f"{first}", rows, {"resid": values[: len(rows)]})
            return store.read("resid", 1)

    return work


def comparing(models: int) -> Work:
    """Return the comparison of that many made-up runs of the hierarchy."""
    import compare

    from layeratlas.comparison import compare as compared

    folder = tempfile.TemporaryDirectory()
    root = Path(folder.name)
    settings = argparse.Namespace(models=models, layers=8, width=64, texts=500)
    folders = [root / f"model{number}" for number in range(models)]
    for number, path in enumerate(folders):
        compare.make(path, settings, number)
    return lambda folder=folder: compared(folders, root / "out")


TEXTS, HUNDREDS = (1000, 2000, 4000, 8000), (100, 200, 400, 800)
LINES = (
    Line("ridge", "texts, n > d", "n", 1, TEXTS, lambda n: probing("ridge", n, shuffles=20)),
    Line("svm", "texts, n > d", "n", 1, (500, 1000, 2000, 4000), lambda n: probing("svm", n, 64, shuffles=20)),
    Line("ridge", "texts, n < d", "n^3", 3, HUNDREDS, lambda n: probing("ridge", n, 1024, shuffles=20)),
    Line("svm", "texts, n < d", "n^3", 3, HUNDREDS, lambda n: probing("svm", n, 1024, shuffles=20)),
    Line("ridge", "width, n < d", "d", 1, (1024, 2048, 4096, 8192), lambda d: probing("ridge", 200, d, shuffles=20)),
    Line("ridge", "layers", "P", 1, (4, 8, 16, 32), lambda p: probing("ridge", 200, layers=p)),
    Line("svm", "layers", "P", 1, (4, 8, 16, 32), lambda p: probing("svm", 200, layers=p)),
    Line("ridge", "shuffles", "s", 1, HUNDREDS, lambda s: probing("ridge", 200, shuffles=s)),
    Line("svm", "shuffles", "s", 1, HUNDREDS, lambda s: probing("svm", 200, shuffles=s)),
    Line("folds and shuffles", "texts", "n", 1, TEXTS, designing),
    Line("bootstrap", "texts", "n", 1, TEXTS, resampling),
    Line("reading JSON", "texts", "n", 1, TEXTS, lambda n: reading(n, "json")),
    Line("reading JSON lines", "texts", "n", 1, TEXTS, lambda n: reading(n, "jsonl")),
    Line("storing vectors", "texts", "n", 1, TEXTS, storing),
    Line("comparison", "models", "m^2", 2, (2, 4, 8), comparing),
)


def measured(line: Line, size: int, rounds: int) -> tuple[float, float]:
    """Return the CPU seconds of a size, the least of the rounds, and its peak of allocated memory in MB."""
    work = line.work(size)
    tracemalloc.start()
    work()  # the first call pays for imports too
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    seconds = []
    for _ in range(rounds):
        gc.collect()  # what others left is not this round's
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds), peak


def slope(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Return the exponent between the two largest sizes."""
    return math.log(max(values[-1], 1e-9) / max(values[-2], 1e-9)) / math.log(sizes[-1] / sizes[-2])


def row_of(line: Line, sizes: Sequence[int], rounds: int) -> dict[str, Any]:
    """Return a line's numbers at every size, and its exponents."""
    seconds, memory = zip(*(measured(line, size, rounds) for size in sizes), strict=True)
    return {
        "cost": line.cost,
        "quantity": line.quantity,
        "formula": line.formula,
        "sizes": list(sizes),
        "seconds": [round(value, 4) for value in seconds],
        "megabytes": [round(value, 1) for value in memory],
        "exponent of seconds": round(slope(sizes, seconds), 2),
        "exponent of memory": round(slope(sizes, memory), 2),
        "excess": round(slope(sizes, seconds) - line.exponent, 2),
    }


def printed(row: dict[str, Any]) -> str:
    """Return a line of the table."""
    values = " ".join(
        f"{size:>5}: {seconds:7.3f} s {mb:6.0f} MB"
        for size, seconds, mb in zip(row["sizes"], row["seconds"], row["megabytes"], strict=True)
    )
    mark = " !" if row["excess"] > SLACK else ""
    return (
        f"{row['cost']:<19} {row['quantity']:<13} {row['formula']:<4} seconds^{row['exponent of seconds']:<5} "
        f"memory^{row['exponent of memory']:<5} {values}{mark}"
    )


def main() -> None:
    """Print the table line by line, and the largest excess last; keep them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="leave out the largest size of each line")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="lines whose cost contains this")
    args = parser.parse_args()
    rows = []
    for line in LINES:
        if args.only in line.cost:
            rows.append(row_of(line, line.sizes[:-1] if args.quick else line.sizes, args.rounds))
            print(printed(rows[-1]), flush=True)
    worst = max(rows, key=lambda row: row["excess"])
    ratios = {f"largest excess of an exponent ({worst['cost']}, {worst['quantity']})": worst["excess"]}
    write(Result(name="growth", settings=vars(args), rows=rows, ratios=ratios))


if __name__ == "__main__":
    main()
