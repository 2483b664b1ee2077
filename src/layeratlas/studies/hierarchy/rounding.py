"""What rounded products change in a sample of the run's texts: their vectors, and what probes read from these."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.errors import DataError
from layeratlas.core.spec import CaptureSpec
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, bare_design, probe_layer, sample_groups
from layeratlas.runs.precision import ENOUGH, Trial
from layeratlas.runs.workspace import Workspace
from layeratlas.stats.measures import credit

if TYPE_CHECKING:
    from layeratlas.capture import Reading
    from layeratlas.models import LoadedModel

# Items of each set, and the share of all tokens that the sample may have. Sets of short texts come first, and of the
# very first this many are read whatever their share.
_ITEMS, _SHARE, _FEWEST = 64, 1 / 8, 30


class Texts(Protocol):
    """The distinct texts of a run as tokens, and the row of each."""

    readings: list[Reading]

    def rows_of(self, data: Dataset) -> list[int]:
        """Return the row of each item of a data set."""


def try_both(work: Workspace, spec: CaptureSpec, texts: Texts, exact: LoadedModel, rounded: LoadedModel) -> Trial:
    """Compute a sample of the run's `texts` both ways, and probe it both ways."""
    from layeratlas.capture.recomputing import RELATIVE, compare_vectors

    sampled, total = list(_sampled(work, texts)), len(texts.readings)
    if not sampled:
        return Trial(texts=0, total=total, difference=0.0, unit=RELATIVE, where="no text", points=[], changes=[])
    rows = sorted({row for data in sampled for row in texts.rows_of(data)})
    readings = [texts.readings[row] for row in rows]
    before, after = (_vectors(model, readings, spec) for model in (exact, rounded))
    place = {row: number for number, row in enumerate(rows)}
    changes = [
        _changes(work, design, [place[row] for row in texts.rows_of(design.data)], before, after)
        for design in _designs(work, sampled)
    ]
    difference = compare_vectors(exact, after, before, rows)
    points = [f"{component} at layer {layer}" for component, layer in _points(before)]
    return Trial(
        texts=len(rows),
        total=total,
        difference=difference.size,
        unit=difference.unit,
        where=difference.where,
        points=points,
        changes=changes,
    )


def _sampled(work: Workspace, texts: Texts) -> Iterator[Dataset]:
    """Yield some whole groups of each data set with classes, as long as tokens are left for the sample."""
    lengths = np.array([len(reading.ids) for reading in texts.readings])
    left, known = _SHARE * float(lengths.sum()), set[int]()
    mean = {data.name: float(lengths[texts.rows_of(data)].mean()) for data in work.material if data.kind == "classes"}
    for data in sorted((data for data in work.material if data.name in mean), key=lambda data: mean[data.name]):
        size = min(_ITEMS, max(int(left / mean[data.name]), 0 if known else _FEWEST))
        with contextlib.suppress(DataError):  # too few classes or groups are left to probe
            kept = sample_groups(data.groups, size, work.spec.seed)
            sample = data.without(set(range(len(data))) - set(kept.tolist()), ())
            if len(sample) >= ENOUGH:
                new = set(texts.rows_of(sample)) - known
                left -= float(lengths[list(new)].sum())
                known |= new
                yield sample


def _vectors(model: LoadedModel, readings: Sequence[Reading], spec: CaptureSpec) -> dict[str, FloatArray]:
    """Return `values[component]`, float32 (texts, points, d)."""
    from layeratlas.capture import capture, choose_plan, store_shape
    from layeratlas.store import MemoryStore

    store = MemoryStore(store_shape(model, len(readings), spec))
    packing = choose_plan(model, readings, spec)
    capture(model, packing.batches, store, form=packing.form)
    return {c: np.stack([store.read(c, layer) for layer in range(n)], 1) for c, n in store.shape.points.items()}


def _points(vectors: dict[str, FloatArray]) -> list[tuple[str, int]]:
    return [(component, layer) for component, values in vectors.items() for layer in range(values.shape[1])]


def _designs(work: Workspace, sampled: Sequence[Dataset]) -> Iterator[Design]:
    for data in sampled:
        with contextlib.suppress(DataError):  # a training fold lacks a class
            yield bare_design(data, work.spec.probe, work.spec.seed)


def _changes(
    work: Workspace, design: Design, rows: list[int], before: dict[str, FloatArray], after: dict[str, FloatArray]
) -> Floats:
    """Return the change of each item's credit at every layer of every component, (points, items)."""
    method = work.spec.probe.methods[0]

    def credits(values: dict[str, FloatArray], component: str, layer: int) -> Floats:
        (result,) = probe_layer(values[component][rows, layer].astype(np.float64), design, [method])
        return credit(result.scores[0], design.y)

    return np.stack([credits(after, *point) - credits(before, *point) for point in _points(before)])
