"""Probing one layer of 10,000 to 1,000,000 simulated texts on disk, and whole runs: seconds and the peak memory.

    python benchmarks/shards.py                                   # 10,000, 100,000 and 1,000,000 texts of width 256
    python benchmarks/shards.py --texts 10000 --texts 100000 --width 576
    python benchmarks/shards.py --run DIR --texts 21000 --texts 63000      # whole hierarchy runs of the model in DIR

Each number of texts is probed in a process of its own. Two classes differ by a weak signal along one direction; the
accuracy on the sample rises with the number of texts that ridge is trained on, to at most 0.5596, the normal
distribution function at half the distance of the classes (0.15). Prints the ratio of the peak memories of the largest
and the smallest number, last.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import LargeSet, make_design, probe_shards, sample_groups
from layeratlas.store import DiskStore, Shape

# Texts of one shard, texts of one group, and texts of the sample.
SHARD, GROUP, SAMPLE = 1000, 2, 2000
# Standard deviations between the classes along their direction.
SIGNAL = 0.3


def main() -> None:
    """Probe each number of texts in a process of its own, or one in this."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, action="append")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--run", metavar="MODEL")
    parser.add_argument("--step", choices=["write", "probe"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        print(_runs(given.run, given.texts or [21_000, 63_000]))
        return
    if given.step:
        print(json.dumps((_write if given.step == "write" else _probe)(given.folder, given.texts[0], given.width)))
        return
    peaks = []
    for texts in given.texts or [10_000, 100_000, 1_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            written, probed = (_apart(step, folder, texts, given.width) for step in ("write", "probe"))
        peaks.append(probed["megabytes"])
        print(
            f"{texts:,} texts: written in {written['seconds']:.1f} s, opened in {probed['opened']:.1f} s, probed in "
            f"{probed['seconds']:.1f} s; {texts * given.width * 4 / 1e6:,.0f} MB of vectors, peak memory "
            f"{written['megabytes']:,.0f} MB to write and {probed['megabytes']:,.0f} MB to probe; "
            f"balanced accuracy {probed['accuracy']:.4f}",
            flush=True,
        )
    print(f"peak memory of the largest over that of the smallest: {peaks[-1] / peaks[0]:.2f}")


def texts_file(path: Path, texts: int) -> Path:
    """Write a file of short labelled texts for a run."""
    rows = (f"{i:06d} is {'warm' if i // GROUP % 2 else 'cold'},{i // GROUP % 2},{i // GROUP}" for i in range(texts))
    path.write_text("\n".join(["text,label,group", *rows]), encoding="utf-8")
    return path


def _runs(model: str, counts: list[int]) -> str:
    """Return how much memory a further text takes in a run, from runs of each number of texts."""
    peaks = []
    for texts in counts:
        with tempfile.TemporaryDirectory() as folder:
            data, out = texts_file(Path(folder) / "texts.csv", texts), Path(folder) / "run"
            command = [sys.executable, "-m", "layeratlas", "run", "hierarchy", "--size", "quick", "--model", model]
            subprocess.run(
                [*command, "--data", str(data), "--out", str(out), "--quiet"], check=True, capture_output=True
            )
            stages = json.loads((out / "run.json").read_text(encoding="utf-8"))["stages"]
            peaks.append(max(stage["peak_memory_mb"] for stage in stages.values()))
            size = data.stat().st_size / texts
            seconds = sum(stage["seconds"] for stage in stages.values())
        print(f"{texts:,} texts of {size:.0f} bytes: peak memory {peaks[-1]:,} MiB, {seconds:.0f} s", flush=True)
    return f"a further text takes {(peaks[-1] - peaks[0]) * 2**10 / (counts[-1] - counts[0]):.1f} KiB of memory"


def _apart(step: str, folder: str, texts: int, width: int) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--step",
        step,
        "--folder",
        folder,
        "--texts",
        str(texts),
        "--width",
        str(width),
    ]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def _labels(texts: int) -> np.ndarray:
    return np.arange(texts) // GROUP % 2


def _open(folder: Path, texts: int, width: int) -> DiskStore:
    return DiskStore(folder / "activations", Shape(texts, width, {"resid": 1}), "simulated")


def _write(folder: Path, texts: int, width: int) -> dict[str, float]:
    start, store, y = time.perf_counter(), _open(folder, texts, width), _labels(texts)
    direction = np.random.default_rng(0).standard_normal(width)
    for number in range(texts // SHARD):
        rows = np.arange(number * SHARD, (number + 1) * SHARD)
        x = np.random.default_rng([1, number]).standard_normal((SHARD, width))
        x += SIGNAL * (y[rows, None] - 0.5) * direction / np.linalg.norm(direction)
        store.write(f"{number:08d}", rows.tolist(), {"resid": x[:, None].astype(np.float32)})
    return {"seconds": time.perf_counter() - start, "megabytes": _peak()}


def _probe(folder: Path, texts: int, width: int) -> dict[str, float]:
    start, store, y = time.perf_counter(), _open(folder, texts, width), _labels(texts)
    opened = time.perf_counter()
    groups = np.arange(texts) // GROUP
    sample = sample_groups(groups, SAMPLE, seed=0)
    labels = LargeSet(y=y.astype(float), groups=groups, sample=sample)
    items = [Item(text=f"text {row}", label=f"class {y[row]}", group=f"{row // GROUP:08d}") for row in sample]
    data = Dataset(name="simulated", level="item", items=tuple(items))
    design = make_design(data, ProbeSpec(repeats=1, shuffles=100), seed=0)
    scores = probe_shards(store.parts("resid", 0), labels, design, ["ridge"])[0].scores[0, :, 0]
    right = (scores > 0) == (y[sample] == 1)
    accuracy = float(np.mean([right[y[sample] == label].mean() for label in (0, 1)]))
    seconds = time.perf_counter() - opened
    return {"opened": opened - start, "seconds": seconds, "megabytes": _peak(), "accuracy": accuracy}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
