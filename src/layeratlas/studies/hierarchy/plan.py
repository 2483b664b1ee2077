"""The plan shown before capture: texts, tokens, disk, memory and time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from layeratlas.core.formatting import duration
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, LargeSet, make_design, probe_layer
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.designs import designs_of

if TYPE_CHECKING:
    from layeratlas.capture.packing import Packing
    from layeratlas.store import Shape

# The fraction of the machine's matrix rate that capture reaches; the rest goes to attention, norms and memory traffic.
_MATRIX_SHARE = 0.7
# Texts of the small problem from which the cost of probing is extrapolated (about 0.1 s of work).
_SAMPLE = 160
# What is not measured on data sets that are probed from disk.
NOT_ON_LARGE = "random weights, robustness, learning curves, positions, transfer and description lengths"
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def describe(work: Workspace, packing: Packing, shape: Shape) -> str:
    """Return the plan in one line."""
    record = packing.record()
    disk = shape.texts * shape.width * sum(shape.points.values()) * _BYTES[work.spec.capture.dtype]
    weights = work.model.info["parameters"] * next(work.model.model.parameters()).element_size()
    return (
        f"plan: {shape.texts:,} texts, {record['tokens']:,} tokens ({record['tokens_computed']:,} computed); "
        f"{disk / 1e9:.2f} GB of activations on disk, {weights / 1e9:.2f} GB of weights; about "
        f"{duration(_capture_seconds(work, packing))} to capture and {duration(_probe_seconds(work, shape))} to probe"
    )


def _capture_seconds(work: Workspace, packing: Packing) -> float:
    """Return the time in seconds of all matrix products, at two operations per parameter and token."""
    from layeratlas.models.devices import matrix_rate

    model = work.model
    parameters = sum(p.numel() for block in model.anatomy.blocks for p in block.parameters())
    rate = matrix_rate(model.device, next(model.model.parameters()).dtype, model.anatomy.width)
    return float(2 * parameters * packing.record()["tokens_padded"] / (_MATRIX_SHARE * rate))


def _probe_seconds(work: Workspace, shape: Shape) -> float:
    """Return the time in seconds of probing: that of a small problem, scaled by the operations of each data set."""
    spec = work.spec.probe
    items = tuple(Item(f"text {i}", str(i % 2), str(i)) for i in range(_SAMPLE))
    sample = make_design(Dataset("sample", "sample", items), spec, 0)
    x = np.random.default_rng(0).standard_normal((_SAMPLE, shape.width))
    start = time.perf_counter()
    probe_layer(x, sample, spec.methods)
    seconds_per_operation = (time.perf_counter() - start) / _operations(sample, shape.width, spec)
    operations = sum(_operations(design, shape.width, spec) for design in designs_of(work)) * sum(shape.points.values())
    return seconds_per_operation * operations / (os.cpu_count() or 1)


def _operations(design: Design, width: int, spec: ProbeSpec) -> float:
    """Return the operations for probing one layer: per fold, an eigendecomposition and a fit of every label column.

    Texts of a large data set that are not tested add their products once.
    """
    total = 4.0 * design.others * width * (width + 2 * spec.shuffles)
    for fold in design.folds:
        n = len(fold.train)
        rank = min(n, width)
        columns = (design.classes if design.classes > 2 else 1) * (1 + (fold.repeat == 0) * spec.shuffles)
        total += 10 * rank**3 + 4 * n * rank * width + 2 * n * rank * columns * len(spec.penalties)
        # The SVM iterates over the label columns; at the usual sizes these cost about a fifth of the shuffles.
        total += 100 * n * n * min(columns, 41) if "svm" in spec.methods else 0
    return total


def describe_large(data: Dataset, large: LargeSet) -> str:
    """Return what is tested of a large data set, and what is not measured on it, in one line."""
    groups, unused = len(np.unique(large.groups[large.sample])), len(data.items) - large.used
    but = f" but {unused:,}, which are not tested and in groups that are," if unused else " of them"
    return (
        f"{data.name}: {len(data.items):,} texts are probed from disk: ridge and the surface baseline are trained on "
        f"all{but} and tested on a sample of {len(large.sample):,} texts in {groups:,} groups, other probes use the "
        f"sample alone; {NOT_ON_LARGE} are not measured"
    )
