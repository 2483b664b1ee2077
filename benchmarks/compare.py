"""Eight full runs compared, from the start of the process to the page: seconds and peak memory.

    python benchmarks/compare.py [--models 8] [--layers 30] [--width 576] [--texts 6000]

The runs are made up: the levels, components, draws and tables of the hierarchy study at full size (14 levels, three
components, two probes, 1,000 draws), and activations of the residual stream of every text. The last line holds what is
asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import fake_models as fake
from layeratlas.core import registry
from layeratlas.store import DiskStore, Shape

SECONDS, MEGABYTES = 30, 2000
COMMAND = """
import json, resource, sys, time
start = time.perf_counter()
from pathlib import Path
from layeratlas.comparison import compare
folders = sorted(Path(sys.argv[1]).glob("model*"))
found = compare(folders, Path(sys.argv[1]) / "out")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
size = (found / "comparison.html").stat().st_size
print(json.dumps({"seconds": time.perf_counter() - start, "peak": peak, "page": size}))
"""


def levels_of() -> tuple[str, ...]:
    """Return the levels of the hierarchy study."""
    study = registry.get("studies", "hierarchy")
    data = (d for name in study.tasks for d in registry.get("tasks", name).build("standard"))
    return tuple(dict.fromkeys(one.level for one in data))


def make(folder: Path, args: argparse.Namespace, number: int) -> None:
    """Write one full-size run."""
    levels = levels_of()
    peaks = np.linspace(0.2, 0.7, len(levels))
    model = fake.FakeModel(
        f"model{number}",
        lambda level, depth: fake.hump(peaks[levels.index(level)], 0.7 + 0.02 * number)(depth),
        layers=args.layers,
        family="alpha" if number < args.models // 2 else "beta",
        parameters=10 ** (8.5 + 0.5 * (number % max(args.models // 2, 1))),
        levels=levels,
        components=("resid", "attn", "mlp"),
        boundaries=(0.25, 0.7),
        brittleness={"Local": 3.0 + number, "Global": 1.0},
        bootstrap=1000,
    )
    fake.write_model(folder, model)
    curves = pl.read_parquet(folder / "curves.parquet")
    parts = [
        curves.with_columns(task=pl.lit(task), method=pl.lit(method), metric=pl.lit(metric))
        for task in ("all", *(f"task {i}" for i in range(6)))
        for method in ("ridge", "svm")
        for metric in ("accuracy", "balanced_accuracy", "auroc")
    ]
    pl.concat(parts).write_parquet(folder / "curves.parquet")
    rng = np.random.default_rng(number)
    shape = Shape(args.texts, args.width, {"resid": args.layers + 1})
    store = DiskStore(folder / "activations", shape, folder.name)
    for first in range(0, args.texts, 500):
        rows = list(range(first, min(first + 500, args.texts)))
        values = rng.standard_normal((len(rows), args.layers + 1, args.width), np.float32)
        store.write(f"{first}", rows, {"resid": values})
    each = [levels[i % len(levels)] for i in range(args.texts)]
    groups = [f"g{i // 4}" for i in range(args.texts)]
    (folder / "items").mkdir()
    items = pl.DataFrame({"level": each, "group": groups, "row": np.arange(args.texts)})
    items.write_parquet(folder / "items/all.parquet")


def main() -> None:
    """Make the runs, compare them in a process of its own, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("models", 8), ("layers", 30), ("width", 576), ("texts", 6000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.models):
            make(Path(folder) / f"model{number}", args, number)
        done = subprocess.run([sys.executable, "-c", COMMAND, folder], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        found = json.loads(done.stdout.splitlines()[-1])
    print(f"{args.models} runs of {args.texts} texts, {args.layers} blocks of width {args.width}")
    print(f"page {found['page'] / 1e6:.1f} MB")
    print(f"{found['seconds']:.1f} s (asked: {SECONDS}), {found['peak']:.0f} MB at most (asked: {MEGABYTES})")


if __name__ == "__main__":
    main()
