"""The time to probe that a run of the hierarchy study shows in advance."""

from __future__ import annotations

import pytest

from layeratlas.core.spec import ProbeSpec
from layeratlas.studies.hierarchy.plan import _operations, _random_design

WIDTH = 16


@pytest.mark.parametrize(("method", "counted"), [("ridge", True), ("svm", False)])
def test_only_the_shuffles_that_a_probe_runs_are_counted(method, counted):
    """The SVM runs 20 of 60 and of 100 shuffles, ridge all."""
    few, many = (_random_design(60, ProbeSpec(shuffles=shuffles)) for shuffles in (60, 100))
    assert (_operations(many, WIDTH, method) > _operations(few, WIDTH, method)) is counted


def test_the_operations_of_ridge_are_those_of_its_decompositions_and_products():
    spec = ProbeSpec(shuffles=20, repeats=1, folds=5)
    design = _random_design(50, spec)
    assert {len(fold.train) for fold in design.folds} == {40}
    per_fold = 10 * WIDTH**3 + 4 * 40 * WIDTH * WIDTH + 2 * 40 * WIDTH * 21 * len(spec.penalties)
    assert _operations(design, WIDTH, "ridge") == 5 * per_fold
