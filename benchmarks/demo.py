"""The stages of `make demo` that follow its forward passes, by this code and by another checkout's, and their floor.

    python benchmarks/demo.py RUN [--against SOURCE] [--rounds 1]

RUN is the folder of a finished run of the hierarchy study with its activations, such as the demo's. Its vectors are
probed and its curves analysed again in a new folder, each side in a new process, in seconds of all cores. SOURCE is the
folder `src` of another checkout; its side runs first. Differences of the tables are printed. The floor is what the
eigendecompositions and products of the probes take alone here, on one core, SVM fits aside. The last line is the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

STAGES = ("probe", "analyse")
SIDE = """
import json, os, sys
from pathlib import Path
import psutil
from layeratlas.core import registry
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.runs.pipeline import prepare
from layeratlas.studies.hierarchy.analysing import analyse_stage
from layeratlas.studies.hierarchy.cells import probe_stage
from layeratlas.studies.hierarchy.designs import designs_of

def cpu():
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(time.user + time.system for time in times)

run, folder = map(Path, sys.argv[1:])
kept = json.loads((run / "run.json").read_text())
ready = prepare(registry.get("studies", "hierarchy"), RunSpec(**kept["spec"]))
work = ready.open(folder, Progress())
ready.begin(work)
work.manifest |= {name: kept[name] for name in ("model", "capture", "left_out") if name in kept}
for name in ("items", "activations"):
    os.symlink(run / name, folder / name)
designs_of(work)
for stage in (probe_stage, analyse_stage):
    start = cpu()
    stage(work)
    print(cpu() - start)
"""


def seconds(run: Path, folder: Path, source: str) -> list[float]:
    """Return the seconds of all cores that each stage takes."""
    shutil.rmtree(folder, ignore_errors=True)
    environment = os.environ | ({"PYTHONPATH": source} if source else {})
    command = [sys.executable, "-c", SIDE, str(run.resolve()), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return [float(line) for line in done.stdout.split()[-len(STAGES) :]]


def differences(here: Path, there: Path) -> str:
    """Return how far the curves of two folders differ, and whether their findings have the same verdicts."""
    curves = [pl.read_parquet(folder / "curves.parquet").sort("*") for folder in (here, there)]
    findings = [pl.read_parquet(folder / "findings.parquet") for folder in (here, there)]
    keys = ["level", "task", "stratum", "component", "layer", "method", "metric"]
    joined = curves[0].join(curves[1], on=keys, suffix="_there")
    numbers = {
        method: max(
            float((part[name] - part[f"{name}_there"]).abs().max() or 0) for name in ("estimate", "lo", "hi", "control")
        )
        for (method,), part in joined.group_by("method")
    }
    same = findings[0]["verdict"].to_list() == findings[1]["verdict"].to_list()
    largest = ", ".join(f"{method} {size:.1e}" for method, size in sorted(numbers.items()))
    return f"largest difference of a curve, interval or control: {largest}; verdicts {'equal' if same else 'DIFFER'}"


def alone(work: Callable[[], object], times: int = 5) -> float:
    """Return the seconds of a core that a call takes, the least of a few."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def floor(run: Path) -> float:
    """Return the seconds of a core that the probes' decompositions and products take alone, SVM fits aside."""
    from layeratlas.core import registry
    from layeratlas.core.spec import RunSpec
    from layeratlas.probes import make_design
    from layeratlas.runs.pipeline import prepare

    kept = json.loads((run / "run.json").read_text())
    spec, width = RunSpec(**kept["spec"]), int(kept["model"]["width"])
    layers = len(spec.capture.components) * int(kept["model"]["layers"]) + ("resid" in spec.capture.components)
    rng, parts = np.random.default_rng(0), {"eigendecompositions": 0.0, "products": 0.0}
    known: dict[tuple[int, int, int], tuple[float, float]] = {}
    for data in prepare(registry.get("studies", "hierarchy"), spec).material:
        design = make_design(data, spec.probe, spec.seed)
        for fold in design.folds:
            n, test = len(fold.train), len(fold.test)
            random = (len(design.shuffled) + len(design.control_tasks)) * (fold.repeat == 0)
            columns = max(1, design.classes * (design.classes > 2)) * (1 + random)
            if (n, test, columns) not in known:
                x, rank = rng.standard_normal((n + test, width)), min(n, width)
                inside, y, wide = x[:n], rng.standard_normal((rank, columns)), x[:n] if n <= width else x[:n].T
                gram, other = wide @ wide.T, x[n:].T if n <= width else np.eye(width)
                products = alone(lambda a=wide: a @ a.T) + alone(lambda a=inside, b=other: a @ b)
                vectors, times = inside[:, :rank].copy(), {np.float64: 2, np.float32: len(spec.probe.penalties)}
                for dtype, number in times.items():
                    v, t = vectors.astype(dtype), y.astype(dtype)
                    products += number * alone(lambda v=v, t=t: v @ t)
                known[n, test, columns] = (alone(lambda g=gram: np.linalg.eigh(g)), products)
            for name, size in zip(parts, known[n, test, columns], strict=True):
                parts[name] += layers * size
    print("floor of the probes, seconds of a core:", ", ".join(f"{name} {size:.1f}" for name, size in parts.items()))
    return sum(parts.values())


def main() -> None:
    """Print the seconds of every round by stage, differences, the floor, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--against", default="", help="the folder `src` of another checkout")
    parser.add_argument("--rounds", type=int, default=1)
    args = parser.parse_args()
    sides = {"there": args.against, "here": ""} if args.against else {"here": ""}
    rounds: dict[str, list[list[float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as name:
        for _ in range(args.rounds):
            for side, source in sides.items():
                rounds[side].append(seconds(args.run, Path(name) / side, source))
                print(side, " ".join(f"{stage} {s:.1f}" for stage, s in zip(STAGES, rounds[side][-1], strict=True)))
        if args.against:
            print(differences(Path(name) / "here", Path(name) / "there"))
    ours = statistics.median(map(sum, rounds["here"]))
    with threadpool_limits(1):
        least = floor(args.run)
    if args.against:
        print(f"there / here: {statistics.median(map(sum, rounds['there'])) / ours:.2f}")
    else:
        print(f"here / floor: {ours / least:.2f}")


if __name__ == "__main__":
    main()
