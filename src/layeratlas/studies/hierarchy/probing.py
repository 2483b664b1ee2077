"""The second stage: probe every data set at every layer, and read the results back.

Modules that need torch are imported inside functions, so that a run that is already complete does not wait for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from layeratlas.core import registry
from layeratlas.core.errors import StoreError
from layeratlas.core.progress import Step
from layeratlas.data.items import Dataset
from layeratlas.probes import (
    CodeLengths,
    Design,
    Probed,
    SurfaceBaseline,
    surface_baseline,
)
from layeratlas.runs.tables import read_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store import Store
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.hierarchy.capturing import capture_stage, components_of, items_file
from layeratlas.studies.hierarchy.description_length import Coded
from layeratlas.studies.hierarchy.designs import designs_of
from layeratlas.studies.hierarchy.first_look import first_look
from layeratlas.studies.hierarchy.layers import LayerResult, Probing, probed_layers
from layeratlas.studies.hierarchy.names import ACTIVATIONS, RESIDUAL

if TYPE_CHECKING:
    from layeratlas.store import DiskStore

# The names of the tensors with code lengths, in a file of scores.
_BITS, _SHUFFLED_BITS = "bits", "bits.shuffled"
# The name of the tensor with the surface baseline's scores.
_SURFACE = "surface.scores"
# The name of the tensor with a probe's scores on control tasks.
_CONTROL_TASKS = "control_tasks"
_NONE = np.zeros((0, 0, 0, 0))


def probe_stage(work: Workspace) -> list[str]:
    """Probe every data set and component; each has its own file of scores, so an interruption loses little work."""
    store = whole_store(work)
    requested = work.spec.probe.shuffles
    work.manifest["shuffles"] = {m: registry.get("probes", m).shuffles(requested) for m in work.spec.probe.methods}
    components = components_of(work)
    total = sum(len(data.items) * store.shape.points[c] for data in work.material for c in components)
    outputs: list[str] = []
    with work.progress.stage("probe", total) as step, threadpool_limits(1):
        for design in designs_of(work):
            files = {component: scores_file(design.data, component) for component in components}
            missing = [c for c, name in files.items() if read_shard(work.folder / name, work.key) is None]
            done = set(components) - set(missing)
            step.advance(len(design.data.items) * sum(store.shape.points[component] for component in done))
            if missing:
                _probe_components(work, store, design, missing, step)
            outputs += files.values()
    return outputs


def _probe_components(work: Workspace, store: Store, design: Design, components: Sequence[str], step: Step) -> None:
    """Write the scores of one data set, one file per component; all components share its surface baseline."""
    tokens = read_table(work.folder / items_file(design.data), columns=["tokens"])["tokens"].to_list()
    baseline = surface_baseline(design, tokens)
    for component in components:
        results = []
        for result in _layer_results(work, store, design, component):
            results.append(result)
            step.advance(len(design.data.items))
        _write_scores(work, design, component, results, baseline)
        if component == RESIDUAL:
            work.progress.preview(first_look(design, [result.scores[0].scores for result in results]))


def scores_file(data: Dataset, component: str) -> str:
    """Return the file of a data set's scores, in the run's folder."""
    return f"scores/{data.name}.{component}.safetensors"


def methods_for(work: Workspace, data: Dataset) -> list[str]:
    """Return the run's probes that apply to a data set; numeric labels need probes that predict numbers."""
    methods = work.spec.probe.methods
    return [m for m in methods if data.kind == "classes" or registry.get("probes", m).predicts_numbers]


def whole_store(work: Workspace) -> DiskStore:
    """Open the activations; if they were lost or damaged after they were captured, capture them again."""
    from layeratlas.store import DiskStore

    folder = work.folder / ACTIVATIONS
    with contextlib.suppress(StoreError):
        store = DiskStore.open(folder)
        if store.complete():
            return store
    capture_stage(work)
    return DiskStore.open(folder)


def rows_of(work: Workspace, data: Dataset) -> NDArray[np.int64]:
    """Return the rows of a data set's texts in the activations."""
    rows: NDArray[np.int64] = read_table(work.folder / items_file(data), columns=["row"])["row"].to_numpy()
    return rows


def _codes_wanted(work: Workspace, design: Design) -> bool:
    return work.settings.mdl and design.classes > 0


def _layer_results(work: Workspace, store: Store, design: Design, component: str) -> Iterator[LayerResult]:
    """Yield the results of every layer in order."""
    seed = work.spec.seed if _codes_wanted(work, design) else None
    rows, methods = rows_of(work, design.data), methods_for(work, design.data)
    asked = Probing(store=store, component=component, rows=rows, design=design, methods=methods, seed=seed)
    yield from probed_layers(work, asked)


def _write_scores(
    work: Workspace, design: Design, component: str, results: Sequence[LayerResult], baseline: SurfaceBaseline
) -> None:
    """Write the scores and code lengths of every layer, with the surface baseline as notes."""
    tensors = {}
    for i, method in enumerate(methods_for(work, design.data)):
        tensors[f"{method}.scores"] = np.stack([result.scores[i].scores for result in results])
        tensors[f"{method}.shuffled"] = np.stack([result.scores[i].shuffled for result in results])
        control_tasks = np.stack([result.scores[i].control_tasks for result in results])
        tensors[f"{method}.{_CONTROL_TASKS}"] = control_tasks.astype(np.float32)
    codes = [result.codes for result in results if result.codes is not None]
    if codes:
        tensors[_BITS] = np.stack([code.bits for code in codes])
        tensors[_SHUFFLED_BITS] = np.stack([code.shuffled for code in codes])
    name = scores_file(design.data, component)
    write_shard(work.folder / name, work.key, tensors | {_SURFACE: baseline.scores}, baseline.values)


def load_probed(work: Workspace) -> Iterator[Probed]:
    """Yield the scores of every probe, component and data set."""
    for design in designs_of(work):
        for component in components_of(work):
            tensors, baseline = load_shard(work.folder / scores_file(design.data, component), work.key)
            for method in methods_for(work, design.data):
                yield Probed(
                    design=design,
                    component=component,
                    method=method,
                    scores=tensors[f"{method}.scores"],
                    shuffled=tensors[f"{method}.shuffled"],
                    baseline=baseline,
                    baseline_scores=tensors.get(_SURFACE),
                    control_tasks=tensors.get(f"{method}.{_CONTROL_TASKS}", _NONE).astype(np.float64),
                )


def load_codes(work: Workspace) -> Iterator[Coded]:
    """Yield the code lengths of every component and data set for which they were measured."""
    for design in designs_of(work) if work.settings.mdl else ():
        for component in components_of(work) if _codes_wanted(work, design) else ():
            tensors, _ = load_shard(work.folder / scores_file(design.data, component), work.key)
            codes = CodeLengths(bits=tensors[_BITS], shuffled=tensors[_SHUFFLED_BITS])
            yield Coded(design=design, component=component, codes=codes)
