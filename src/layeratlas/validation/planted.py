"""Simulated runs: activations whose peaks, order, second peaks and coordination are known, in a run's own store."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from layeratlas.core import registry
from layeratlas.core.arrays import Floats
from layeratlas.core.progress import Progress
from layeratlas.core.spec import CaptureSpec, ProbeSpec, RunSpec, Size
from layeratlas.data.items import Dataset
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.capturing import ACTIVATIONS, write_items

WIDTH = 16
# How much of a text's noise a layer hands on to the next: a residual stream changes little from layer to layer.
_KEPT = 0.7


def designs(tasks: Sequence[str], size: Size) -> list[Dataset]:
    """Return the tasks' data sets with their labels, groups and sizes, and texts that say nothing.

    Items of the same text, in one task or in several, keep one text.
    """
    found = [data for task in tasks for data in registry.get("tasks", task).build(size)]
    named: dict[str, str] = {}
    for data in found:
        for item in data.items:
            named.setdefault(item.text, f"text {len(named)}")
    return [
        dataclasses.replace(
            data, items=tuple(dataclasses.replace(item, text=named[item.text], spans={}) for item in data.items)
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
    neighbouring layers. As in a real run, equal texts are one row: they share their noise, and hold the signals of all
    the tasks that they are in, each of which is a little more noise to the others. The curves are in `folder`, as in
    any run.
    """
    from layeratlas.store import DiskStore, Shape

    points = len(next(iter(strength.values())))
    probe = ProbeSpec(methods=("ridge",), repeats=1, shuffles=40, bootstrap=400)
    spec = RunSpec(size="quick", capture=CaptureSpec(components=("resid",)), probe=probe, seed=seed)
    study = registry.get("studies", "hierarchy")
    work = Workspace(folder, spec, data, Progress(), study.settings())
    work.manifest["model"] = {"name": "planted", "layers": points - 1, "width": WIDTH}
    rng = np.random.default_rng([seed, 31])
    rows: dict[str, int] = {}
    at = {one.name: [rows.setdefault(text, len(rows)) for text in one.texts] for one in data}
    values = _noise(points, len(rows), rng)
    for one in data:
        if one.name in strength and one.kind == "classes":
            values[:, at[one.name]] += strength[one.name][:, None, None] * _directions(one, rng)[one.y.astype(int)]
        write_items(work, one, at[one.name], [3] * len(one.items))
    store = DiskStore(folder / ACTIVATIONS, Shape(len(rows), WIDTH, {"resid": points}), "planted")
    store.write("planted", list(rows.values()), {"resid": values.transpose(1, 0, 2).astype(np.float32)})
    stages = study.stages()
    stages["probe"](work)
    stages["analyse"](work)
    return pl.read_parquet(folder / "findings.parquet")


def _noise(points: int, texts: int, rng: np.random.Generator) -> Floats:
    """Return (points, texts, width), of standard deviation 1, which neighbouring layers share."""
    noise: Floats = rng.standard_normal((points, texts, WIDTH))
    for layer in range(1, points):
        noise[layer] = _KEPT * noise[layer - 1] + np.sqrt(1 - _KEPT**2) * noise[layer]
    return noise


def _directions(data: Dataset, rng: np.random.Generator) -> Floats:
    """Return a unit vector a class, (classes, width), opposite ones where there are two."""
    found = rng.standard_normal((len(data.classes), WIDTH))
    found -= found.mean(0)
    unit: Floats = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return unit
