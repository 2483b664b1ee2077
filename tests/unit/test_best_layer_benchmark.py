"""The benchmark of the recommended layer: what regret is, and a planted peak that rules of thumb miss."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import planting
from layeratlas.core.spec import ProbeSpec, RunSpec
from scripts import script


@pytest.fixture(scope="module")
def benchmark():
    yield script("benchmarks/best_layer.py")
    del sys.modules["best_layer"]


def test_regret_is_the_distance_from_the_best_layer_of_the_judging_half(benchmark):
    rng = np.random.default_rng(0)
    around = lambda curve: np.stack([curve, *(curve + 0.001 * rng.standard_normal((50, 4)))])  # noqa: E731
    chosen, judged = (around(np.array(curve)) for curve in ([0.5, 0.9, 0.6, 0.5], [0.5, 0.7, 0.8, 0.6]))
    regret = benchmark.regrets(chosen, judged)
    assert regret == pytest.approx(
        {
            "recommended": 10.0,
            "highest estimate": 10.0,
            "last layer": 20.0,
            "middle layer": 0.0,
            "two thirds": 0.0,
            "random layer (mean)": 15.0,
        }
    )


@pytest.mark.parametrize(("last", "verdict"), [(3.0, "supported"), (1.05, "inconclusive"), (-3.0, "not supported")])
def test_below_every_rule_of_thumb_is_judged_by_paired_intervals(benchmark, capsys, last, verdict):
    """Data sets differ by far more than rules do; only differences within a data set decide."""
    rng = np.random.default_rng(1)
    rules = dict.fromkeys((*benchmark.RULES, benchmark.RANDOM), 4.0) | {"last layer": last, "recommended": 1.0}
    rows = [
        {rule: level + points + 0.3 * float(rng.standard_normal()) for rule, points in rules.items()}
        for level in np.linspace(0, 30, 12)
    ]
    benchmark.print_table("half", rows)
    assert f"below every rule of thumb: {verdict} (" in capsys.readouterr().out


def test_one_data_set_decides_nothing(benchmark, capsys):
    rules = dict.fromkeys((*benchmark.RULES, benchmark.RANDOM), 9.0) | {"recommended": 1.0}
    benchmark.print_table("half", [rules])
    assert "below every rule of thumb: inconclusive" in capsys.readouterr().out


def test_halves_never_share_a_group(benchmark):
    names = np.repeat(["a", "b", "c", "d", "e"], 3)
    first, second = benchmark.halves(names, np.random.default_rng(0))
    assert set(names[first]).isdisjoint(names[second])
    assert sorted([*first, *second]) == list(range(15))


def test_a_planted_peak_is_found_on_the_other_half_where_rules_of_thumb_miss_it(benchmark):
    data = planting.planted_data(n=120, per_group=2, mixed=True)
    strength = [0.1, 0.2, 1.6, 1.6, 0.3, 0.2, 0.1, 0.1, 0.0]
    vectors = np.stack(planting.activations(data, strength))
    spec = RunSpec(probe=ProbeSpec(methods=("ridge",)))
    groups = np.array([item.group for item in data.items])
    task = benchmark.Task(data=data, vectors=vectors, retold=vectors[::-1], spec=spec)
    views = benchmark.measure(task, groups, splits=2)
    same, mirrored = views[benchmark.SAME], views[benchmark.TEMPLATE]
    assert same[benchmark.FLOOR] <= same["recommended"]
    for rule in benchmark.RULES:
        assert same["recommended"] < same[rule] - 10
    # Where the other template has its peak elsewhere, the choice is no better than a rule: nothing leaks between them.
    assert mirrored["recommended"] > 10
