"""Probes one data set at every layer of a component, in batches of layers, on all cores or on an accelerator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core.arrays import Array, FloatArray, Ints
from layeratlas.core.processes import parallel
from layeratlas.core.turns import Check, Part
from layeratlas.probes import CodeLengths, Design, LargeSet, LayerScores, layer_bits, probe_layers, probe_shards
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Store
from layeratlas.store.shards import read_shard, write_shard

# Texts times layers above which processes pay off. Starting them takes seconds, but threads would run the probes one
# after the other: probing a few hundred texts takes many short steps of Python, which hold its lock.
_WORTH_PROCESSES = 1500
# Numbers in a batch of layers: on a CPU few enough for its caches, on an accelerator 1 GB in float64. Batches share the
# overhead of Python, which dominates at sixty texts; batches that are too large leave the cache.
_CPU_NUMBERS, _DEVICE_NUMBERS, _MOST_LAYERS = 2**19, 2**27, 16
# Texts from which an accelerator probes faster than the cores beside it; below, it waits for many short steps.
_WORTH_DEVICE = 500
# The name of the tensor with scores, in a file of a single probe.
SCORES = "scores"
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
    several cells that are probed in turn, `among` is the number of layers in all of them. With `large`, the design is
    that of the sampled texts, and `rows` are those of all texts.
    """

    store: Store
    component: str
    rows: Ints
    design: Design
    methods: Sequence[str]
    seed: int | None = None
    only: Sequence[int] = ()
    among: int = 0
    large: LargeSet | None = None

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
            yield self.store.read_layers(self.component, self.layers[first : first + step], self.rows)


def probed_layers(work: Workspace, asked: Probing) -> Iterator[LayerResult]:
    """Yield the results of every layer in order.

    Runs on the run's accelerator if it has one with float64 and the data set is worth it, or else batches in parallel
    on all cores. Code lengths are always measured on the cores, and large data sets are read from disk layer by layer.
    """
    many = len(asked.rows) * (asked.among or len(asked.layers)) > _WORTH_PROCESSES
    if asked.large is not None:
        yield from parallel(_probed_from_disk, ((asked, layer) for layer in asked.layers), processes=many)
        return
    device = _device(work, len(asked.rows))
    if device is None:
        jobs = ((x, asked.design, asked.methods, asked.seed) for x in asked.batches(_CPU_NUMBERS))
        for results in parallel(_probed, jobs, processes=many):
            yield from results
        return
    import torch

    for x in asked.batches(_DEVICE_NUMBERS):
        there = torch.from_numpy(x).to(device).double()
        found = probe_layers(there, asked.design, asked.methods)
        codes = parallel(_codes, ((one, asked.design, asked.seed) for one in x), processes=asked.seed is not None)
        for scores, lengths in zip(found, codes, strict=True):
            yield LayerResult(scores=scores, codes=lengths)


def cell_layers(work: Workspace, asked: Probing) -> int:
    """Return how many layers a process probes in a turn: all of them if it is alone, else a few whole batches."""
    if not work.turns.shared:
        return len(asked.layers)
    from joblib import cpu_count

    step = asked.at_once(_CPU_NUMBERS if _device(work, len(asked.rows)) is None else _DEVICE_NUMBERS)
    cores: int = cpu_count()
    return step * max(1, -(-max(_CELL, cores) // step))


def probe_kind(work: Workspace) -> str:
    """Return the kind of device that the probes of large enough data sets run on."""
    device = _device(work)
    return "cpu" if device is None else str(device.type)


def _device(work: Workspace, texts: int = _WORTH_DEVICE) -> Array | None:
    """Return the accelerator that probes a data set of so many texts; None for the CPU."""
    if work.spec.model.device == "cpu" or texts < _WORTH_DEVICE:
        return None
    from layeratlas.models.devices import probe_device

    return probe_device(work.spec.model.device)


def _probed(x: FloatArray, design: Design, methods: Sequence[str], seed: int | None) -> list[LayerResult]:
    """Probe the vectors of a batch of layers (layers, n, d)."""
    scores = probe_layers(x.astype(np.float64), design, methods)
    return [LayerResult(scores=s, codes=_codes(one, design, seed)) for s, one in zip(scores, x, strict=True)]


def _codes(x: FloatArray, design: Design, seed: int | None) -> CodeLengths | None:
    return None if seed is None else layer_bits(x.astype(np.float64), design, seed)


def _probed_from_disk(asked: Probing, layer: int) -> LayerResult:
    """Probe a layer of a large data set in one pass over its vectors."""
    assert asked.large is not None
    parts = items_of(asked.store.parts(asked.component, layer), asked.rows)
    return LayerResult(scores=probe_shards(parts, asked.large, asked.design, asked.methods))


def items_of(parts: Iterable[tuple[Ints, FloatArray]], rows: Ints) -> Iterator[tuple[Ints, FloatArray]]:
    """Yield a data set's items (m,) and their vectors (m, d) from rows of a store and their vectors.

    `rows` (n,) are those of the items; equal texts share a row, and other data sets have rows of their own.
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    for stored, values in parts:
        first = np.searchsorted(ordered, stored, "left")
        counts = np.searchsorted(ordered, stored, "right") - first
        if counts.any():
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            yield order[np.repeat(first, counts) + within], np.repeat(values, counts, axis=0)


def scores_part(work: Workspace, file: str, asked: Probing, notes: object = None) -> Part:
    """Return the part of a stage that probes a data set and writes the scores (P, repeats, n, k) of its only probe."""
    path = work.common / file

    def compute(check: Check) -> None:
        with threadpool_limits(1):
            scores = [result.scores[0].scores for result in probed_layers(work, asked)]
        check()
        write_shard(path, work.key, {SCORES: np.stack(scores)}, notes)

    return Part(name=path.stem, is_done=lambda: is_probed(work, file), compute=compute, skip=lambda: None)


def is_probed(work: Workspace, file: str) -> bool:
    """Return whether the scores of a data set are in their file."""
    return read_shard(work.common / file, work.key) is not None
