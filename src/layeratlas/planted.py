"""Simulated runs: activations whose peaks, order, second peaks and coordination are known, in a run's own store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from layeratlas import registry
from layeratlas.progress import Progress
from layeratlas.records import Dataset
from layeratlas.spec import CaptureSpec, ProbeSpec, RunSpec, Size
from layeratlas.studies._probing import ACTIVATIONS, write_items
from layeratlas.workspace import Workspace

Floats = NDArray[np.float64]
WIDTH = 16
# How much of a text's noise a layer hands on to the next: a residual stream changes little from layer to layer.
_KEPT = 0.7


def designs(tasks: Sequence[str], size: Size) -> list[Dataset]:
    """Return the tasks' data sets with their labels, groups and sizes, and texts that say nothing."""
    found = [data for task in tasks for data in registry.get("tasks", task).build(size)]
    return [
        dataclasses.replace(
            data,
            items=tuple(
                dataclasses.replace(item, text=f"{data.name} {i}", spans={}) for i, item in enumerate(data.items)
            ),
        )
        for data in found
    ]


def hump(layers: int, peak: float, width: float) -> Floats:
    """Return a bell over points 0..layers, 1 at `peak`, of standard deviation `width` (both in layers)."""
    shape: Floats = np.exp(-0.5 * ((np.arange(layers + 1) - peak) / width) ** 2)
    return shape


def simulate(folder: Path, data: Sequence[Dataset], strength: Mapping[str, Floats], seed: int) -> pl.DataFrame:
    """Plant a signal in a run's store, run the hierarchy study's own stages on it and return its findings.

    `strength[task]`, (L+1,): half the distance between two classes at each point of the residual stream, in standard
    deviations of the noise, so that the best reader is right with probability Phi(strength). Tasks without one hold
    noise alone. Each class has a direction of its own, kept over layers; noise is Gaussian and correlated between
    neighbouring layers. The curves are in `folder`, as in any run.
    """
    from layeratlas.contracts import Shape
    from layeratlas.store import DiskStore

    points = len(next(iter(strength.values())))
    probe = ProbeSpec(methods=("ridge",), repeats=1, shuffles=40, bootstrap=400)
    spec = RunSpec(size="quick", capture=CaptureSpec(components=("resid",)), probe=probe, seed=seed)
    work = Workspace(folder, spec, data, Progress())
    work.manifest["model"] = {"name": "planted", "layers": points - 1, "width": WIDTH}
    rng = np.random.default_rng([seed, 31])
    total = sum(len(one.items) for one in data)
    store = DiskStore(folder / ACTIVATIONS, Shape(total, WIDTH, {"resid": points}), "planted")
    outputs, first = [], 0
    for one in data:
        rows = list(range(first, first + len(one.items)))
        values = _activations(one, strength.get(one.name, np.zeros(points)), rng)
        store.write(one.name, rows, {"resid": values})
        outputs.append(write_items(work, one, rows, [3] * len(rows)))
        first += len(rows)
    stages = registry.get("studies", "hierarchy").stages()
    stages["probe"](work)
    stages["analyse"](work)
    return pl.read_parquet(folder / "findings.parquet")


def _activations(data: Dataset, strength: Floats, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return (n, points, width)."""
    n, points = len(data.items), len(strength)
    noise = rng.standard_normal((points, n, WIDTH))
    for layer in range(1, points):
        noise[layer] = _KEPT * noise[layer - 1] + np.sqrt(1 - _KEPT**2) * noise[layer]
    directions = rng.standard_normal((max(len(data.classes), 1), WIDTH))
    directions -= directions.mean(0)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    signal = directions[data.y.astype(int)] if data.kind == "classes" else np.zeros((n, WIDTH))
    return (noise + strength[:, None, None] * signal).transpose(1, 0, 2).astype(np.float32)
