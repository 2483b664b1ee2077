"""Probes one data set at every layer of a component, in batches of layers, on all cores or on an accelerator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Array, FloatArray, Ints
from layeratlas.core.processes import parallel
from layeratlas.probes import CodeLengths, Design, LayerScores, layer_bits, probe_layers
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Store

# Texts times layers above which processes pay off. Starting them takes seconds, but threads would run the probes one
# after the other: probing a few hundred texts takes many short steps of Python, which hold its lock.
_WORTH_PROCESSES = 1500
# Numbers in a batch of layers: on a CPU few enough for its caches, on an accelerator 1 GB in float64. Batches share the
# overhead of Python, which dominates at sixty texts; batches that are too large leave the cache.
_CPU_NUMBERS, _DEVICE_NUMBERS, _MOST_LAYERS = 2**19, 2**27, 16
# The fewest layers that a process takes in a turn if several share a stage.
_CELL = 8


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """One layer's scores, one array per probe, and its code lengths if they are measured."""

    scores: list[LayerScores]
    codes: CodeLengths | None = None


@dataclass(frozen=True, kw_only=True)
class Probing:
    """The rows of a store's component to probe, with a data set's design and probes.

    With a seed, code lengths are measured too. `only` are the layers to probe; empty for all. If they are one of
    several cells that are probed in turn, `among` is the number of layers in all of them.
    """

    store: Store
    component: str
    rows: Ints
    design: Design
    methods: Sequence[str]
    seed: int | None = None
    only: Sequence[int] = ()
    among: int = 0

    @property
    def layers(self) -> Sequence[int]:
        """The layers that are probed, in order."""
        return self.only or range(self.store.shape.points[self.component])

    def at_once(self, numbers: int) -> int:
        """Return the layers in a batch of about `numbers` numbers."""
        n, width = len(self.rows), self.store.shape.width
        return max(1, min(_MOST_LAYERS, numbers // max(1, n * max(width, n))))

    def batches(self, numbers: int) -> Iterator[FloatArray]:
        """Yield the layers' vectors in order, in batches (layers, n, d) of about `numbers` numbers."""
        step = self.at_once(numbers)
        for first in range(0, len(self.layers), step):
            layers = self.layers[first : first + step]
            yield np.stack([self.store.read(self.component, layer)[self.rows] for layer in layers])


def probed_layers(work: Workspace, asked: Probing) -> Iterator[LayerResult]:
    """Yield the results of every layer in order.

    Runs on the run's accelerator if it has one with float64, or else batches in parallel on all cores.
    """
    device = _device(work)
    if device is None:
        jobs = ((x, asked.design, asked.methods, asked.seed) for x in asked.batches(_CPU_NUMBERS))
        size = len(asked.rows) * (asked.among or len(asked.layers))
        for results in parallel(_probed, jobs, processes=size > _WORTH_PROCESSES):
            yield from results
        return
    import torch

    for x in asked.batches(_DEVICE_NUMBERS):
        there = torch.from_numpy(x).to(device).double()
        for scores, one in zip(probe_layers(there, asked.design, asked.methods), x, strict=True):
            yield LayerResult(scores=scores, codes=_codes(one, asked.design, asked.seed))


def cell_layers(work: Workspace, asked: Probing) -> int:
    """Return how many layers a process probes in a turn: all of them if it is alone, else a few whole batches."""
    if not work.turns.shared:
        return len(asked.layers)
    from joblib import cpu_count

    step = asked.at_once(_CPU_NUMBERS if _device(work) is None else _DEVICE_NUMBERS)
    cores: int = cpu_count()
    return step * max(1, -(-max(_CELL, cores) // step))


def probe_kind(work: Workspace) -> str:
    """Return the kind of device that probes run on."""
    device = _device(work)
    return "cpu" if device is None else str(device.type)


def _device(work: Workspace) -> Array | None:
    if work.spec.model.device == "cpu":
        return None
    from layeratlas.models.devices import probe_device

    return probe_device(work.spec.model.device)


def _probed(x: FloatArray, design: Design, methods: Sequence[str], seed: int | None) -> list[LayerResult]:
    """Probe the vectors of a batch of layers (layers, n, d)."""
    scores = probe_layers(x.astype(np.float64), design, methods)
    return [LayerResult(scores=s, codes=_codes(one, design, seed)) for s, one in zip(scores, x, strict=True)]


def _codes(x: FloatArray, design: Design, seed: int | None) -> CodeLengths | None:
    return None if seed is None else layer_bits(x.astype(np.float64), design, seed)
