"""The scores of probes in the run's folder, by data set, component and layer.

Modules that need torch are imported inside functions, so that a run that is already complete does not wait for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.errors import StoreError
from layeratlas.data.items import Dataset
from layeratlas.probes import (
    CodeLengths,
    Design,
    Probed,
)
from layeratlas.runs.tables import read_table
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard
from layeratlas.studies.hierarchy.capturing import capture_stage, components_of
from layeratlas.studies.hierarchy.description_length import Coded
from layeratlas.studies.hierarchy.designs import designs_of, methods_for
from layeratlas.studies.hierarchy.items import items_file
from layeratlas.studies.hierarchy.names import ACTIVATIONS
from layeratlas.studies.hierarchy.second_repeat import with_second_repeat

if TYPE_CHECKING:
    from layeratlas.store import DiskStore

# The names of the tensors with code lengths, in a file of scores.
BITS, SHUFFLED_BITS = "bits", "bits.shuffled"
# The name of the tensor with the surface baseline's scores.
SURFACE = "surface.scores"
# The name of the tensor with a probe's scores on control tasks.
CONTROL_TASKS = "control_tasks"
_NONE = np.zeros((0, 0, 0, 0))


def scores_file(data: Dataset, component: str) -> str:
    """Return the file of a data set's scores, in the run's folder."""
    return f"scores/{data.name}.{component}.safetensors"


def whole_store(work: Workspace) -> DiskStore:
    """Open the activations; if they were lost or damaged after they were captured, capture them again."""
    from layeratlas.store import DiskStore

    folder = work.common / ACTIVATIONS
    with contextlib.suppress(StoreError):
        store = DiskStore.open(folder, work.turns)
        if store.complete():
            return store
    capture_stage(work)
    return DiskStore.open(folder, work.turns)


def rows_of(work: Workspace, data: Dataset) -> NDArray[np.int64]:
    """Return the rows of a data set's texts in the activations."""
    rows: NDArray[np.int64] = read_table(work.folder / items_file(data), columns=["row"])["row"].to_numpy()
    return rows


def codes_wanted(work: Workspace, design: Design) -> bool:
    """Return whether code lengths are measured on a data set: one of classes that is not large."""
    return bool(work.settings.mdl) and design.classes > 0 and not design.others


def load_probed(work: Workspace) -> Iterator[Probed]:
    """Yield the scores of every probe, component and data set."""
    for design in designs_of(work):
        for component in components_of(work):
            tensors, baseline = load_shard(work.folder / scores_file(design.data, component), work.key)
            for number, method in enumerate(methods_for(work, design.data)):
                probed = Probed(
                    design=design,
                    component=component,
                    method=method,
                    scores=tensors[f"{method}.scores"],
                    shuffled=tensors[f"{method}.shuffled"],
                    baseline=baseline,
                    baseline_scores=tensors.get(SURFACE),
                    control_tasks=tensors.get(f"{method}.{CONTROL_TASKS}", _NONE).astype(np.float64),
                )
                yield probed if number else with_second_repeat(work, probed, tensors)


def load_codes(work: Workspace) -> Iterator[Coded]:
    """Yield the code lengths of every component and data set for which they were measured."""
    for design in designs_of(work) if work.settings.mdl else ():
        for component in components_of(work) if codes_wanted(work, design) else ():
            tensors, _ = load_shard(work.folder / scores_file(design.data, component), work.key)
            codes = CodeLengths(bits=tensors[BITS], shuffled=tensors[SHUFFLED_BITS])
            yield Coded(design=design, component=component, codes=codes)
