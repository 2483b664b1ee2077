"""The probe stage of a finished run by this code and by another checkout's, from a sample of its layers.

    python benchmarks/probe_stage.py RUN --against SOURCE [--batches 3] [--only TASK ...]

RUN is the folder of a finished run of the hierarchy study with its activations, SOURCE the folder `src` of another
checkout. Each side is one process with one thread. They take turns: every batch of layers, as a run makes them, is
probed by one and then by the other, in seconds of a core; of each data set, as many batches from all over the depth and
all components. Seconds are scaled to all layers; the surface baseline, reading and writing are not in them. Printed by
data set: seconds of both, the largest difference of a score of ridge, and of the SVM also the largest of an accuracy
over all texts and the share of the layers in which it differs. After these, what the designs of all data sets take,
with shuffles and control tasks and without, and the eigendecompositions and products of all layers alone (`demo.py`).
The ratio is last.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from demo import floor
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.spec import RunSpec
from layeratlas.probes import bare_design, make_design
from layeratlas.runs.pipeline import prepare

SIDE = """
import json, sys, time
from pathlib import Path
import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits
from layeratlas.core import registry
from layeratlas.core.spec import RunSpec
from layeratlas.probes import make_design
from layeratlas.runs.pipeline import prepare
from layeratlas.stats.measures import accuracy
from layeratlas.store import DiskStore
from layeratlas.studies.hierarchy.layers import Probing, _CPU_NUMBERS, _probed

run, folder = map(Path, sys.argv[1:])
spec = RunSpec(**json.loads((run / "run.json").read_text())["spec"])
store = DiskStore.open(run / "activations")
sets = {data.name: data for data in prepare(registry.get("studies", "hierarchy"), spec).material}
known = {}
threadpool_limits(1)
print(json.dumps(list(sets)), flush=True)
for line in sys.stdin:
    name, component, share = json.loads(line)
    if name not in known:
        rows = pl.read_parquet(run / "items" / f"{name}.parquet", columns=["row"])["row"].to_numpy()
        known = {name: (make_design(sets[name], spec.probe, spec.seed), rows)}
    design, rows = known[name]
    methods = [m for m in spec.probe.methods if design.classes or registry.get("probes", m).predicts_numbers]
    asked = Probing(store=store, component=component, rows=rows, design=design, methods=methods)
    step = min(asked.at_once(_CPU_NUMBERS), len(asked.layers))
    first = int(share * (len(asked.layers) - step + 1))
    x = store.read_layers(component, asked.layers[first : first + step], rows)
    start = time.process_time()
    found = _probed(x, design, methods, None)
    seconds = (time.process_time() - start) / step * len(asked.layers)
    scores = {m: np.stack([one.scores[i].scores for one in found]) for i, m in enumerate(methods)}
    np.savez(folder / "scores.npz", **scores)
    right = {}
    if design.classes:
        ones = np.ones((1, len(design.y)))
        right = {m: accuracy(s, design.y, ones)[0].mean(-1).tolist() for m, s in scores.items()}
    print(json.dumps({"seconds": seconds, "accuracy": right}), flush=True)
"""


class Side:
    """A process that probes batches of layers by the code in a folder `src`; by this one if it is not named."""

    def __init__(self, run: Path, folder: Path, source: str) -> None:
        self.folder = folder
        folder.mkdir()
        environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": source} if source else {})
        command = [sys.executable, "-c", SIDE, str(run.resolve()), str(folder)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.sets: list[str] = self._answer()

    def probe(self, name: str, component: str, share: float) -> dict[str, Any]:
        """Return the seconds of a core for all layers, the accuracies, and by probe the scores of a batch."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([name, component, share]) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = self._answer()
        with np.load(self.folder / "scores.npz") as kept:
            return found | {"scores": dict(kept)}

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit("a side ended before its time")
        return json.loads(line)


def compared(here: dict[str, Any], there: dict[str, Any]) -> dict[str, list[float]]:
    """Return by probe the largest difference of a score, and the differences of accuracies by layer."""
    apart = {m: float(np.abs(s - there["scores"][m]).max()) for m, s in here["scores"].items()}
    moved = {m: np.subtract(a, there["accuracy"][m]).tolist() for m, a in here["accuracy"].items()}
    return {m: [largest, *moved.get(m, [])] for m, largest in apart.items()}


def line(rows: list[dict[str, list[float]]]) -> str:
    """Return in words how far the sides differ in the batches of a data set."""
    said = []
    for method in rows[0]:
        moved = np.abs(np.concatenate([row[method][1:] for row in rows]))
        said.append(f"{method} {max(row[method][0] for row in rows):.1e}")
        if moved.any():
            said[-1] += f" (accuracies {moved.max():.4f}, {(moved > 0).mean():.0%} of layers)"
    return ", ".join(said)


def designs(run: Path) -> str:
    """Return in words what the designs of all data sets take, with all shuffles and control tasks and without."""
    spec = RunSpec(**json.loads((run / "run.json").read_text())["spec"])
    material, said = prepare(registry.get("studies", "hierarchy"), spec).material, []
    for name, make in (("whole", make_design), ("bare", bare_design)):
        start = time.process_time()
        for data in material:
            make(data, spec.probe, spec.seed)
        said.append(f"{name} {time.process_time() - start:.1f} s")
    return "designs of all data sets: " + ", ".join(said)


def main() -> None:
    """Print a line per data set, the seconds of both, and the ratio last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("--against", required=True, help="the folder `src` of another checkout")
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    components = json.loads((args.run / "run.json").read_text())["spec"]["capture"]["components"]
    total = np.zeros(2)
    with tempfile.TemporaryDirectory() as name:
        there, here = (Side(args.run, Path(name) / side, source) for side, source in (("t", args.against), ("h", "")))
        for data in args.only or here.sets:
            seconds, rows = np.zeros(2), []
            for i in range(args.batches):
                share, component = (i + 0.5) / args.batches, components[i % len(components)]
                old, new = (side.probe(data, component, share) for side in (there, here))
                seconds += np.array([old["seconds"], new["seconds"]]) * len(components) / args.batches
                rows.append(compared(new, old))
            total += seconds
            print(f"{data:<28} {seconds[0]:6.1f} s  {seconds[1]:6.1f} s  {line(rows)}", flush=True)
    with threadpool_limits(1):
        print(designs(args.run))
        floor(args.run)
    print(f"there {total[0]:.0f} s, here {total[1]:.0f} s of a core")
    print(f"there / here: {total[0] / total[1]:.2f}")


if __name__ == "__main__":
    main()
