"""The folds and shuffles of a run's data sets, made once."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from layeratlas.probes import Design, make_design
from layeratlas.runs.workspace import Workspace

_DESIGNS: WeakKeyDictionary[Workspace, list[Design]] = WeakKeyDictionary()


def designs_of(work: Workspace) -> list[Design]:
    """Return the design of every data set, in the run's order; the plan, the probes and the curves share it.

    Raises DataError if a training fold would lack a class.
    """
    if work not in _DESIGNS:
        _DESIGNS[work] = [make_design(data, work.spec.probe, work.spec.seed) for data in work.material]
    return _DESIGNS[work]
