"""The plan shown before capture: texts, tokens, disk, memory and time."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.formatting import duration
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import Design, LargeSet, bare_design, probe_layer
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.designs import designs_of, methods_for

if TYPE_CHECKING:
    from layeratlas.capture.packing import Packing
    from layeratlas.store import Shape

# The fraction of the machine's matrix rate that capture reaches; the rest goes to attention, norms and memory traffic.
_MATRIX_SHARE = 0.7
# Texts of the small problems from which the cost of probing is extrapolated (0.1 s of work).
_SAMPLES = 60, 320
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
    """Return the time in seconds of probing: that of small problems, scaled to each data set."""
    layers, designs, seconds = sum(shape.points.values()), designs_of(work), 0.0
    samples = [_random_design(texts, work.spec.probe) for texts in _SAMPLES]
    for method in work.spec.probe.methods:
        probed = [design for design in designs if method in methods_for(work, design.data)]
        per_fold, per_operation = _costs(method, shape.width, samples) if probed else (0.0, 0.0)
        operations = sum(_operations(design, shape.width, method) for design in probed)
        seconds += per_fold * sum(len(design.folds) for design in probed) + per_operation * operations
    return seconds * layers / (os.cpu_count() or 1)


def _costs(method: str, width: int, samples: list[Design]) -> tuple[float, float]:
    """Return the seconds of one core that a probe takes per fold, whatever its size, and per operation.

    They are those of random vectors in two designs; one before them loads what the probe needs.
    """
    sizes, times = [], []
    for sample in (samples[0], *samples):
        x = np.random.default_rng(0).standard_normal((len(sample.y), width))
        start = time.perf_counter()
        with threadpool_limits(1):
            probe_layer(x, sample, [method])
        times.append(time.perf_counter() - start)
        sizes.append((len(sample.folds), _operations(sample, width, method)))
    (folds, few), (_, many) = sizes[1:]
    per_operation = max(times[2] - times[1], 0.0) / (many - few)
    return max(times[1] - per_operation * few, 0.0) / folds, per_operation


def _random_design(size: int, spec: ProbeSpec) -> Design:
    """Return a design of so many texts, with the same folds in each repeat: drawing them takes longer than a probe."""
    items = tuple(Item(f"text {i}", str(i % 2), str(i)) for i in range(size))
    design = bare_design(Dataset("sample", "sample", items), spec, 0)
    labels = np.tile(design.y, (spec.shuffles, 1))
    return replace(
        design,
        folds=tuple(replace(fold, repeat=repeat) for repeat in range(spec.repeats) for fold in design.folds),
        repeats=spec.repeats,
        shuffled=np.random.default_rng(0).permuted(labels, axis=1),
    )


def _operations(design: Design, width: int, method: str) -> float:
    """Return the operations of a probe at one layer.

    Per fold these are an eigendecomposition and a fit of all label columns or, where each column is a fit of its own,
    the iterations of all fits. Texts of a large data set that are not tested add their products once.
    """
    probe, spec = registry.get("probes", method), design.spec
    shuffles = min(probe.shuffles(spec.shuffles), spec.shuffles)
    total: float = 4.0 * design.others * width * (width + 2 * shuffles)
    for fold in design.folds:
        n = len(fold.train)
        rank = min(n, width)
        columns = (design.classes if design.classes > 2 else 1) * (1 + (fold.repeat == 0) * shuffles)
        if probe.costly_shuffles:
            total += 100 * n * n * columns
        else:
            total += 10 * rank**3 + 4 * n * rank * width + 2 * n * rank * columns * len(spec.penalties)
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
