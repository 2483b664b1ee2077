"""What a run is about to take, said before it starts: texts, tokens, memory, minutes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, make_design, probe_layer
from layeratlas.runs.workspace import Workspace

if TYPE_CHECKING:
    from layeratlas.capture.packing import Packing
    from layeratlas.store import Shape

# The share of the machine's matrix rate that capturing reaches; the rest is attention, norms and memory.
_SHARE = 0.7
# The texts of the problem that the cost of probing is scaled from: some 0.1 s of work.
_SAMPLE = 160


def describe(work: Workspace, packing: Packing, shape: Shape) -> str:
    """Return the plan in one line."""
    capture, probe = _capture_seconds(work, packing), _probe_seconds(work, shape)
    record = packing.record()
    kept = shape.texts * shape.width * sum(shape.points.values()) * (4 if work.spec.capture.dtype == "float32" else 2)
    held = work.model.info["parameters"] * next(work.model.model.parameters()).element_size()
    return (
        f"plan: {shape.texts:,} texts, {record['tokens']:,} tokens ({record['tokens_computed']:,} computed); "
        f"{kept / 1e9:.2f} GB of activations on disk, {held / 1e9:.2f} GB of weights; about "
        f"{_minutes(capture)} to capture and {_minutes(probe)} to probe"
    )


def _capture_seconds(work: Workspace, packing: Packing) -> float:
    from layeratlas.models.memory import matrix_rate

    model = work.model
    blocks = sum(p.numel() for block in model.anatomy.blocks for p in block.parameters())
    rate = matrix_rate(model.device, next(model.model.parameters()).dtype, model.anatomy.width)
    return float(2 * blocks * packing.record()["tokens_padded"] / (_SHARE * rate))


def _probe_seconds(work: Workspace, shape: Shape) -> float:
    """Return seconds from the cost of a small problem, scaled by the operations of each data set."""
    items = tuple(Item(f"text {i}", str(i % 2), str(i)) for i in range(_SAMPLE))
    sample = make_design(Dataset("sample", "sample", items), work.spec.probe, 0)
    x = np.random.default_rng(0).standard_normal((_SAMPLE, shape.width))
    start = time.perf_counter()
    probe_layer(x, sample, list(work.spec.probe.methods))
    unit = (time.perf_counter() - start) / _operations(sample, shape.width, work.spec.probe)
    total = 0.0
    for data in work.material:
        design = make_design(data, work.spec.probe, work.spec.seed)
        total += _operations(design, shape.width, work.spec.probe) * sum(shape.points.values())
    return unit * total / (os.cpu_count() or 1)


def _operations(design: Design, width: int, spec: ProbeSpec) -> float:
    """Return the operations of probing one layer: an eigendecomposition a fold, and every label column on it."""
    total = 0.0
    for fold in design.folds:
        n = len(fold.train)
        m = min(n, width)
        columns = max(1, design.classes if design.classes > 2 else 1) * (1 + (fold.repeat == 0) * spec.shuffles)
        total += 10 * m**3 + 4 * n * m * width + 2 * n * m * columns * len(spec.penalties)
        total += 100 * n * n * min(columns, 41) if "svm" in spec.methods else 0
    return total


def _minutes(seconds: float) -> str:
    return f"{max(1, round(seconds)):,} s" if seconds < 90 else f"{seconds / 60:,.0f} min"
