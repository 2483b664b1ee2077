"""Simulators: activations with a known signal in a run's own store, analysed by the hierarchy study's own stages."""

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
from layeratlas.runs.tables import read_table
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.items import write_items
from layeratlas.studies.hierarchy.names import ACTIVATIONS, FINDINGS

STUDY = "hierarchy"
WIDTH = 16
# Correlation of a text's noise between neighbouring layers; the residual stream changes little between layers.
_PERSISTENCE = 0.7
# Token count of every placeholder text ("text 12").
_TOKENS = 3
# Few draws and one probe, so that a run takes seconds; two repeats, as at size standard, to estimate the variance from
# refitting.
PROBE = ProbeSpec(methods=("ridge",), repeats=2, shuffles=40, bootstrap=400)


def placeholder_data(tasks: Sequence[str], size: Size) -> list[Dataset]:
    """Return the tasks' data sets with their labels and groups, and placeholders for their texts.

    Items with equal text, within a task or across tasks, share a placeholder.
    """
    material = [data for task in tasks for data in registry.get("tasks", task).build(size)]
    placeholders: dict[str, str] = {}
    for data in material:
        for item in data.items:
            placeholders.setdefault(item.text, f"text {len(placeholders)}")
    return [
        dataclasses.replace(
            data, items=tuple(dataclasses.replace(item, text=placeholders[item.text], spans={}) for item in data.items)
        )
        for data in material
    ]


def hump(layers: int, peak: float, width: float) -> Floats:
    """Return a bell (L+1,) that is 1 at the point `peak`, of standard deviation `width` (both in layers)."""
    shape: Floats = np.exp(-0.5 * ((np.arange(layers + 1) - peak) / width) ** 2)
    return shape


def simulate_run(folder: Path, material: Sequence[Dataset], strength: Mapping[str, Floats], seed: int) -> pl.DataFrame:
    """Plant a signal in the store of a new run, analyse it with the hierarchy study's stages and return the findings.

    `strength[task]` (L+1,) is half the distance between two classes at each point of the residual stream, in standard
    deviations of the noise: the accuracy of the best linear probe is Phi(strength). Tasks without an entry have only
    noise. Each class has the same direction at all layers; noise is Gaussian and correlated between neighbouring
    layers. As in a real run, equal texts are one row: they share noise and have the signals of all their tasks, which
    act as additional noise for each other. Afterwards `folder` has the tables of a run.
    """
    points = len(next(iter(strength.values())))
    work = _workspace(folder, material, points, seed)
    rng = np.random.default_rng([seed, 31])
    rows: dict[str, int] = {}
    rows_of = {data.name: [rows.setdefault(text, len(rows)) for text in data.texts] for data in material}
    values = _noise(points, len(rows), rng)
    for data in material:
        if data.name in strength and data.kind == "classes":
            signal = _directions(data, rng)[data.y.astype(int)]
            values[:, rows_of[data.name]] += strength[data.name][:, None, None] * signal
        write_items(work, data, rows_of[data.name], [_TOKENS] * len(data.items))
    _write_activations(folder, values)
    stages = registry.get("studies", STUDY).stages()
    stages["probe"](work)
    stages["analyse"](work)
    return read_table(folder / FINDINGS)


def _workspace(folder: Path, material: Sequence[Dataset], points: int, seed: int) -> Workspace:
    """Return a run of the hierarchy study on a model that does not exist."""
    spec = RunSpec(study=STUDY, size="quick", capture=CaptureSpec(components=("resid",)), probe=PROBE, seed=seed)
    work = Workspace(folder, spec, material, Progress(), registry.get("studies", STUDY).settings())
    work.manifest["model"] = {"name": "planted", "layers": points - 1, "width": WIDTH}
    work.manifest["words"] = {"levels": {}}
    return work


def _write_activations(folder: Path, values: Floats) -> None:
    """Write the residual stream (points, texts, width)."""
    from layeratlas.store import DiskStore, Shape

    points, texts, width = values.shape
    store = DiskStore(folder / ACTIVATIONS, Shape(texts, width, {"resid": points}), "planted")
    store.write("planted", list(range(texts)), {"resid": values.transpose(1, 0, 2).astype(np.float32)})


def _noise(points: int, texts: int, rng: np.random.Generator) -> Floats:
    """Return noise (points, texts, width) of standard deviation 1, correlated between neighbouring layers."""
    noise: Floats = rng.standard_normal((points, texts, WIDTH))
    for layer in range(1, points):
        noise[layer] = _PERSISTENCE * noise[layer - 1] + np.sqrt(1 - _PERSISTENCE**2) * noise[layer]
    return noise


def _directions(data: Dataset, rng: np.random.Generator) -> Floats:
    """Return a unit vector per class (classes, width); those of two classes are opposite."""
    raw = rng.standard_normal((len(data.classes), WIDTH))
    raw -= raw.mean(0)
    unit: Floats = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    return unit
