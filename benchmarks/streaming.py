"""Streaming: a model of 6 GB within a limit of 2 GB, and its cost where the model would fit.

    python benchmarks/streaming.py [--rounds 5] [--model ...]        # streamed against resident, where both fit
    python benchmarks/streaming.py --large [--gigabytes 6] [--limit 2]  # a random model beyond a limit of the system

The first captures the study's short texts at every layer with weights resident and streamed, in turn in one process,
checks that all vectors are equal bit for bit, and prints the ratio of medians last. The second writes a random Llama
in bfloat16, runs it in a process of its own under a memory limit that the operating system enforces (a control group
where one can be made, else a limit on data), and prints weights over limit last.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from random_model import BILLION, write_random
from results import show_rounds

from layeratlas.capture import Reading, capture, choose_plan, store_shape
from layeratlas.core import registry
from layeratlas.core.spec import DEFAULT_MODEL, CaptureSpec, ModelSpec
from layeratlas.models import LoadedModel, load
from layeratlas.models.checkpoint import Checkpoint
from layeratlas.store import MemoryStore

SPEC = CaptureSpec()
_GROUP = Path("/sys/fs/cgroup/memory")


def readings(model: LoadedModel, texts: int | None = None) -> list[Reading]:
    """Return the study's short texts."""
    data = [d for name in ("items", "relations", "analogies") for d in registry.get("tasks", name).build("quick")]
    ids = [tuple(model.encode(t)) for t in dict.fromkeys(t for d in data for t in d.texts)]
    return [Reading(i, (len(i) - 1,)) for i in ids[:texts]]


def captured(model: LoadedModel, texts: list[Reading]) -> tuple[float, MemoryStore]:
    """Return the seconds of a capture of everything, and what it kept."""
    store = MemoryStore(store_shape(model, len(texts), SPEC))
    packing = choose_plan(model, texts, SPEC)
    start = time.perf_counter()
    capture(model, packing.batches, store, form=packing.form)
    return time.perf_counter() - start, store


def where_both_fit(name: str, rounds: int) -> None:
    """Print seconds, agreement and the ratio."""
    models = {w: load(ModelSpec(id=name, weights=w)) for w in ("resident", "streamed")}  # type: ignore[arg-type]
    texts = readings(models["resident"])
    seconds: dict[str, list[float]] = {w: [] for w in models}
    kept = {}
    for _ in range(rounds + 1):  # the first round warms up
        for w, model in models.items():
            spent, kept[w] = captured(model, texts)
            seconds[w].append(spent)
    a, b = kept["resident"], kept["streamed"]
    cells = [(c, i) for c, n in a.shape.points.items() for i in range(n)]
    print(f"{len(texts)} texts; equal bit for bit: {all(np.array_equal(a.read(*at), b.read(*at)) for at in cells)}")
    for w, values in seconds.items():
        print(f"{w:<9} {statistics.median(values[1:]):6.2f} s")
    show_rounds({w: values[1:] for w, values in seconds.items()})
    ratio = statistics.median(s / r for r, s in zip(seconds["resident"][1:], seconds["streamed"][1:], strict=True))
    print(f"streamed / resident: {ratio:.2f}")


def beyond_memory(gigabytes: float, limit: float) -> None:
    """Write a random model, run it under the limit in another process, and print what was read and taken."""
    with tempfile.TemporaryDirectory() as folder:
        write_random(Path(folder), BILLION.of_size(gigabytes))
        size = sum(Checkpoint(Path(folder)).sizes.values())
        group = _control_group(int(limit * 1e9))
        kind = "a control group" if group else "a limit on data"
        print(f"weights {size / 1e9:.2f} GB in bfloat16; {kind} of {limit:g} GB")
        command = [sys.executable, __file__, "--child", folder, "--limit", str(limit)]
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "LAYERATLAS_GROUP": str(group or "")}
        done = subprocess.run(command, env=environment, check=False)
        if group:
            most = int((group / "memory.max_usage_in_bytes").read_text())
            print(f"most memory in the control group: {most / 1e9:.2f} GB")
            group.rmdir()
        if done.returncode:
            raise SystemExit(f"the run under the limit ended with {done.returncode}")
        print(f"weights / limit: {size / 1e9 / limit:.2f}")


def child(folder: str, limit: float) -> None:
    """Run the model in this process, under the limit."""
    group = os.environ["LAYERATLAS_GROUP"]
    if group:
        (Path(group) / "cgroup.procs").write_text(str(os.getpid()))
    else:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit * 1e9), int(limit * 1e9)))
    model = load(ModelSpec(id=folder, dtype="bfloat16"))
    assert model.streamer is not None, "auto should have streamed"
    texts = [Reading(tuple(range(3 + i, 35 + i)), (31,)) for i in range(64)]
    spent, store = captured(model, texts)
    times = model.streamer.checkpoint.read.values()
    sizes = model.streamer.checkpoint.sizes
    read = sum(sizes[name] * n for name, n in model.streamer.checkpoint.read.items())
    finite = all(np.isfinite(store.read("resid", i)).all() for i in range(model.anatomy.n_layers + 1))
    print(
        f"{len(texts)} texts in {spent:.1f} s; each weight read {min(times)} to {max(times)} times, "
        f"{read / 1e9:.2f} GB; finite: {finite}; most resident memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


def _control_group(limit: int) -> Path | None:
    """Return a new control group with a memory limit (version 1), or None where none can be made."""
    group = _GROUP / f"layeratlas-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(limit))
    except OSError:
        return None
    return group


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--gigabytes", type=float, default=6.0)
    parser.add_argument("--limit", type=float, default=2.0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.limit)
    elif args.large:
        beyond_memory(args.gigabytes, args.limit)
    else:
        where_both_fit(args.model, args.rounds)


if __name__ == "__main__":
    main()
