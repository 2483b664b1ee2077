"""The folds and shuffles of a run's data sets, made once; of a large data set, those of a sample of its groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from layeratlas.core import registry
from layeratlas.core.arrays import Ints
from layeratlas.core.errors import DataError
from layeratlas.data.items import Dataset
from layeratlas.probes import Design, LargeSet, make_design, sample_groups, twice_split
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.settings import SAMPLE, is_large

_DESIGNS: WeakKeyDictionary[Workspace, list[Design]] = WeakKeyDictionary()
_TWICE: WeakKeyDictionary[Workspace, dict[str, Design | None]] = WeakKeyDictionary()
_LARGE: WeakKeyDictionary[Workspace, dict[str, LargeSet | None]] = WeakKeyDictionary()


def large_set(work: Workspace, data: Dataset) -> LargeSet | None:
    """Return the labels of a large data set and the sample of it that is tested; None if all texts are tested.

    `data` is the data set, or its sample. Raises DataError if the sample cannot be split into folds.
    """
    known = _LARGE.setdefault(work, {})
    if data.name not in known:
        whole = whole_of(work, data)
        known[data.name] = _sampled(whole, work) if is_large(len(whole.items), work.settings) else None
    return known[data.name]


def whole_of(work: Workspace, data: Dataset) -> Dataset:
    """Return the data set that a sample is of."""
    whole: Dataset = next(whole for whole in work.material if whole.name == data.name)
    return whole


def small_sets(work: Workspace) -> list[Dataset]:
    """Return the data sets whose texts are all tested."""
    return [data for data in work.material if large_set(work, data) is None]


def designs_of(work: Workspace) -> list[Design]:
    """Return the design of every data set, in the run's order; the plan, the probes and the curves share it.

    That of a large data set is of its sample. Raises DataError if a training fold would lack a class.
    """
    if work not in _DESIGNS:
        _DESIGNS[work] = [_design(work, data) for data in work.material]
    return _DESIGNS[work]


def methods_for(work: Workspace, data: Dataset) -> list[str]:
    """Return the run's probes that apply to a data set; numeric labels need probes that predict numbers."""
    methods = work.spec.probe.methods
    return [m for m in methods if data.kind == "classes" or registry.get("probes", m).predicts_numbers]


def design_twice(work: Workspace, design: Design) -> Design | None:
    """Return a design of the run with a second repeat, on which the noise of training is measured.

    None where the design has repeats of its own, and for samples of large data sets, which a pass over all texts per
    layer would cost.
    """
    known, name = _TWICE.setdefault(work, {}), design.data.name
    if name not in known:
        known[name] = None if design.others else twice_split(design, work.spec.seed)
    return known[name]


def _design(work: Workspace, data: Dataset) -> Design:
    large = large_set(work, data)
    if large is None:
        return make_design(data, work.spec.probe, work.spec.seed)
    part = _part(data, large.sample)
    return replace(make_design(part, work.spec.probe, work.spec.seed), others=len(large.others))


def _sampled(data: Dataset, work: Workspace) -> LargeSet | None:
    size, name = work.settings.sample or SAMPLE, data.source or data.name
    try:
        rows = sample_groups(data.groups, size, work.spec.seed, data.units)
    except DataError as error:
        whole = f"use smaller groups, or --set sample={len(data.items)}, which keeps all texts in memory"
        raise DataError(f"{name}: {error.problem}", error.expected, whole) from None
    if len(rows) == len(data.items):
        return None
    _check(data, rows)
    return LargeSet.of(data, rows, work.spec.seed)


def _check(data: Dataset, rows: Ints) -> None:
    try:
        complete = _part(data, rows).classes == data.classes
    except DataError:  # a class of the sample is in a single group
        complete = False
    if not complete:
        raise DataError(
            f"{data.source or data.name}: a sample of {len(rows):,} of its {len(data.items):,} texts does not have "
            "every class in two groups",
            "a sample that can be split into folds",
            f"use --set sample={min(5 * len(rows), len(data.items))} or more, or smaller groups",
        )


def _part(data: Dataset, rows: Sequence[int] | Ints) -> Dataset:
    return replace(data, items=tuple(data.items[row] for row in rows))
