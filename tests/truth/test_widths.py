"""Intervals at the widths of real models, against an analytic truth: what fitted probes would score on all texts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from layeratlas.probes import LinearProbeClassifier, probe_layer, training_of
from layeratlas.stats.design_effects import Effective
from layeratlas.stats.intervals import share_interval
from layeratlas.validation import widths
from layeratlas.validation.widths import (
    CELLS,
    PARTITIONS,
    Cell,
    batches,
    exact_accuracy,
    expected_accuracy,
    interval,
    intervals,
)

SMALL = CELLS[1]


def covered(cell: Cell, runs: int) -> int:
    """Return how many intervals hold the expected accuracy."""
    return sum(lo <= expected_accuracy(cell) <= hi for lo, hi in (interval(cell, seed) for seed in range(runs)))


def test_an_interval_at_a_real_width_holds_the_exact_accuracy():
    assert binom.cdf(covered(SMALL, 12), 12, 0.93) > 0.01


def test_an_interval_without_the_spread_of_its_groups_fails_the_same_test(monkeypatch):
    """Negative control: as if the texts of a group were no more alike than any, and groups and texts were many."""
    many = Effective(10**9, 10**9)
    monkeypatch.setattr("layeratlas.stats.curves.share_interval", lambda *given: share_interval(*given[:3], many))
    monkeypatch.setattr(
        "layeratlas.studies.hierarchy.curves.widened",
        lambda estimate, draws, *_, **__: estimate + (draws - estimate) / 10,
    )
    assert binom.cdf(covered(SMALL, 12), 12, 0.93) < 0.01


def test_the_exact_accuracy_is_what_the_probes_score_on_new_texts():
    cell = Cell(64, 20, 4, 1.3, 0.2)
    planted = widths._planted(cell, 3)
    rng = np.random.default_rng(0)
    sign = np.where(np.arange(4000) % 2, 1.0, -1.0)
    new = sign[:, None] * planted.mean + rng.standard_normal((4000, cell.width))
    right = []
    for fold in planted.design.folds:
        probe = LinearProbeClassifier("ridge").fit(planted.x[fold.train], planted.design.y[fold.train])
        right.append(np.mean(np.sign(probe.decision_function(new)) == sign))
    assert np.mean(right) == pytest.approx(exact_accuracy(planted), abs=0.02)
    # No probe can do better than the one that knows the means.
    assert exact_accuracy(planted) < norm.cdf(cell.strength)


def test_simulations_together_are_those_one_by_one():
    """They share only the bootstrap draws of the first."""
    cell = Cell(64, 20, 4, 1.3, 0.2)
    together = intervals(cell, [1, 1 + PARTITIONS])
    np.testing.assert_allclose(together[0], intervals(cell, [1])[0])
    np.testing.assert_allclose(together[1], intervals(cell, [1 + PARTITIONS])[0], atol=0.03)
    assert abs(together[0] - together[1]).max() > 0.03  # negative control: other texts have another interval
    for runs in (3, 20, 150):
        assert sorted(seed for seeds in batches(cell, runs) for seed in seeds) == list(range(runs))
    with pytest.raises(ValueError, match="expected seeds equal modulo 8"):
        intervals(cell, [0, 1])


def test_training_widens_intervals_where_there_are_more_features_than_texts():
    """A probe of few features hardly depends on its training texts: little is added."""
    wide, narrow = (
        np.mean([factor_of(widths._planted(cell, seed)) for seed in range(3)])
        for cell in (Cell(256, 20, 4, 1.3, 0.2), Cell(4, 40, 4, 1.3, 0.0))
    )
    assert 1.2 < wide <= 1.51
    assert narrow == pytest.approx(1.04, abs=0.04)


def factor_of(planted: widths._Planted) -> float:
    return float(training_of(probe_layer(planted.x, planted.design, ["ridge"])[0].scores, planted.design))


@pytest.mark.truth
def test_intervals_at_real_widths_hold_the_exact_accuracy_as_often_as_they_say():
    runs = 100
    hits = {cell: covered(cell, runs) for cell in CELLS}
    print(hits)
    assert min(binom.cdf(count, runs, 0.93) for count in hits.values()) > 0.01
    assert 0.92 <= sum(hits.values()) / (runs * len(CELLS)) <= 0.975
