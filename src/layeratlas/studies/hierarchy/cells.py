"""The second stage: probe every data set at every layer, in cells that several processes can compute.

A cell is some layers of a component of a data set, or the data set's surface baseline. Each has a file in `cells/`.
Once all cells of a component are done, they are put together into its file of scores.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.files import demand_ownership
from layeratlas.core.progress import Step
from layeratlas.core.turns import Check, Part
from layeratlas.probes import Design, SurfaceBaseline, large_surface_baseline, surface_baseline
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Store
from layeratlas.store.shards import Tensors, load_shard, read_shard, write_shard
from layeratlas.studies.hierarchy.capturing import components_of
from layeratlas.studies.hierarchy.designs import designs_of, large_set, methods_for, whole_of
from layeratlas.studies.hierarchy.first_look import first_look
from layeratlas.studies.hierarchy.items import tokens_of
from layeratlas.studies.hierarchy.layers import LayerResult, Probing, cell_layers, probe_kind, probed_layers
from layeratlas.studies.hierarchy.names import RESIDUAL
from layeratlas.studies.hierarchy.probing import (
    BITS,
    CONTROL_TASKS,
    SHUFFLED_BITS,
    SURFACE,
    codes_wanted,
    rows_of,
    scores_file,
    whole_store,
)
from layeratlas.studies.hierarchy.second_repeat import second_scores

_CELLS, _SURFACE_CELL = "cells", "surface"


def probe_stage(work: Workspace) -> list[str]:
    """Probe every data set and component; each cell has a file, so an interruption loses little work."""
    store = whole_store(work)
    requested = work.spec.probe.shuffles
    work.manifest["shuffles"] = {m: registry.get("probes", m).shuffles(requested) for m in work.spec.probe.methods}
    groups = [[_Table(work, store, design, c) for c in components_of(work)] for design in designs_of(work)]
    tables = [table for group in groups for table in group]
    total = sum(len(table.design.data.items) * store.shape.points[table.component] for table in tables)
    with work.progress.stage("probe", total) as step, threadpool_limits(1):
        parts = [part for group in groups for part in (_surface(work, group), *_layer_parts(group, step))]
        work.turns.each(parts, on=probe_kind(work))
    if not work.turns.helping:
        demand_ownership(work.common / _CELLS)
        shutil.rmtree(work.common / _CELLS, ignore_errors=True)
    return [table.file for table in tables]


def _layer_parts(tables: Sequence[_Table], step: Step) -> Iterator[Part]:
    for table in tables:
        yield from (table.part(layers, step) for layers in table.cells)


def _surface(work: Workspace, tables: Sequence[_Table]) -> Part:
    """Return the part that measures the surface baseline of a data set, which the tables of all components share."""
    design = tables[0].design
    path = _path(work, _surface_name(design))

    def close() -> None:
        for table in tables:
            table.close(_SURFACE_CELL)

    def compute(check: Check) -> None:
        baseline = _baseline(work, design)
        check()
        write_shard(path, work.key, {SURFACE: baseline.scores}, baseline.values)
        close()

    def is_done() -> bool:
        return read_shard(path, work.key) is not None or all(table.is_whole() for table in tables)

    return Part(name=_surface_name(design), is_done=is_done, compute=compute, skip=close)


def _baseline(work: Workspace, design: Design) -> SurfaceBaseline:
    tokens, large = tokens_of(work, design.data), large_set(work, design.data)
    if large is None:
        return surface_baseline(design, tokens)
    return large_surface_baseline(design, large, whole_of(work, design.data).texts, tokens)


def _surface_name(design: Design) -> str:
    return f"{design.data.name}.{_SURFACE_CELL}"


def _path(work: Workspace, cell: str) -> Path:
    return work.common / _CELLS / f"{cell}.safetensors"


class _Table:
    """The scores of one component of a data set at every layer, put together from `cells`, which are layers of it."""

    def __init__(self, work: Workspace, store: Store, design: Design, component: str) -> None:
        self._work, self._store, self.design, self.component = work, store, design, component
        self.file = scores_file(design.data, component)
        self._methods = methods_for(work, design.data)
        points = store.shape.points[component]
        at_once = cell_layers(work, self._asked(range(points)))
        self.cells = [range(first, min(first + at_once, points)) for first in range(0, points, at_once)]
        self._open: set[str | range] = {_SURFACE_CELL, *self.cells}

    def _asked(self, layers: range) -> Probing:
        return Probing(
            store=self._store,
            component=self.component,
            rows=rows_of(self._work, self.design.data),
            design=self.design,
            methods=self._methods,
            seed=self._work.spec.seed if codes_wanted(self._work, self.design) else None,
            only=layers,
            large=large_set(self._work, self.design.data),
            among=self._store.shape.points[self.component],
        )

    def is_whole(self) -> bool:
        """Return whether the scores of all layers are in their file."""
        return read_shard(self._work.common / self.file, self._work.key) is not None

    def part(self, layers: range, step: Step) -> Part:
        """Return a cell as a part of the stage."""
        size, path = len(self.design.data.items) * len(layers), _path(self._work, self._name(layers))

        def skip() -> None:
            self.close(layers)
            step.advance(size)

        def compute(check: Check) -> None:
            asked = self._asked(layers)
            tensors = self._tensors(list(probed_layers(self._work, asked))) | second_scores(self._work, asked)
            check()
            if self.cells == [layers] and self._open == {layers} and not self._work.turns.helping:
                self._put_together([tensors])
            else:
                write_shard(path, self._work.key, tensors)
            skip()

        def is_done() -> bool:
            return read_shard(path, self._work.key) is not None or self.is_whole()

        return Part(name=self._name(layers), is_done=is_done, compute=compute, skip=skip)

    def _name(self, layers: range) -> str:
        return f"{self.design.data.name}.{self.component}.{layers.start:03d}-{layers[-1]:03d}"

    def _tensors(self, results: Sequence[LayerResult]) -> Tensors:
        """Return the scores and code lengths of some layers."""
        tensors = {}
        for i, method in enumerate(self._methods):
            tensors[f"{method}.scores"] = np.stack([result.scores[i].scores for result in results])
            tensors[f"{method}.shuffled"] = np.stack([result.scores[i].shuffled for result in results])
            control_tasks = np.stack([result.scores[i].control_tasks for result in results])
            tensors[f"{method}.{CONTROL_TASKS}"] = control_tasks.astype(np.float32)
        codes = [result.codes for result in results if result.codes is not None]
        if codes:
            tensors[BITS] = np.stack([code.bits for code in codes])
            tensors[SHUFFLED_BITS] = np.stack([code.shuffled for code in codes])
        return tensors

    def close(self, cell: str | range) -> None:
        """Note that a cell is done; after the last one, the owner of the run puts the table together."""
        self._open.discard(cell)
        if self._open or self._work.turns.helping or self.is_whole():
            return
        self._put_together([load_shard(_path(self._work, self._name(each)), self._work.key)[0] for each in self.cells])

    def _put_together(self, shards: Sequence[Tensors]) -> None:
        """Write the file of scores from all cells."""
        tensors = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0]}
        surface, notes = load_shard(_path(self._work, _surface_name(self.design)), self._work.key)
        write_shard(self._work.common / self.file, self._work.key, tensors | surface, notes)
        if self.component == RESIDUAL:
            self._work.progress.preview(first_look(self.design, list(tensors[f"{self._methods[0]}.scores"])))
