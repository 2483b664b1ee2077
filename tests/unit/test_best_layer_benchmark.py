"""The benchmark of the recommended layer: what regret is, and a planted peak that rules of thumb miss."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

import planting
from layeratlas.core.spec import ProbeSpec, RunSpec
from scripts import script


@pytest.fixture(scope="module")
def curves():
    yield script("benchmarks/best_layer_curves.py")
    del sys.modules["best_layer_curves"]


@pytest.fixture(scope="module")
def benchmark(curves):
    yield script("benchmarks/best_layer.py")
    del sys.modules["best_layer"]


def around(curve: list[float]) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array(curve) + np.concatenate([np.zeros((1, 4)), 0.001 * rng.standard_normal((50, 4))])


def test_regret_is_the_distance_from_the_best_layer_of_the_judging_half(benchmark, curves):
    on_first, on_second = [0.5, 0.9, 0.6, 0.5], [0.5, 0.7, 0.8, 0.6]
    halves = {(0, 0, curves.OWN): around(on_first), (0, 1, curves.OWN): around(on_second)}
    one = curves.Halves(name="a", level="a", texts=80, chance=0.5, curves=halves)
    (regret,) = benchmark.regrets(one, [one]).values()
    # Chosen on the first half and judged on the second, and the other way round: 10 and 30 points.
    expected = {"recommended": 20.0, "from its curve alone": 20.0, "highest estimate": 20.0}
    expected |= {"last layer": 30.0, "middle layer": 15.0, "two thirds": 15.0}
    assert regret == pytest.approx(expected | {"random layer (mean)": 21.25, "floor (seen)": 5.0})
    # Another wording, in which the first half peaks at the layer that is best on the second.
    halves |= {(0, side, curves.REWORDED[0]): around([0.5, 0.3, 0.95, 0.6]) for side in (0, 1)}
    (regret,) = benchmark.regrets(dataclasses.replace(one, curves=halves), [one]).values()
    assert regret["recommended"] == pytest.approx((0 + 30) / 2)
    assert regret["from one wording"] == pytest.approx(20.0)


def test_other_levels_of_the_same_half_help_to_choose_and_those_of_the_other_half_do_not(benchmark, curves):
    """A level whose own half is noise takes the peak of the others; tasks of its own level say nothing."""
    rng = np.random.default_rng(4)
    flat, peaked = np.full(4, 0.7), np.array([0.6, 0.6, 0.9, 0.6])
    noisy = lambda: flat + 0.05 * rng.standard_normal((151, 4))  # noqa: E731
    sharp = lambda: peaked + 0.005 * rng.standard_normal((151, 4))  # noqa: E731
    of = lambda level, *made: curves.Halves(  # noqa: E731
        name=level, level=level, texts=80, chance=0.5, curves={(0, side, curves.OWN): made[side]() for side in (0, 1)}
    )
    one, sibling, others = of("a", noisy, noisy), of("a", sharp, sharp), [of(name, sharp, noisy) for name in "bcde"]
    assert benchmark.expected_of(one, [one, sibling], (0, 0)) is None
    assert benchmark.expected_of(one, [one, *others], (0, 0)).mean.argmax() == 2
    assert np.ptp(benchmark.expected_of(one, [one, *others], (0, 1)).mean) < 0.1


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


def test_halves_are_the_same_in_every_data_set_that_shares_groups(curves):
    sets = [[f"g{i}" for i in range(20)], [f"g{i}" for i in range(10, 30)], ["g3", "g3", "x", "y", "z"]]
    for seed in range(5):
        first = curves.first_half(sets, seed)
        assert [abs(2 * len(first & set(names)) - len(set(names))) <= 2 for names in sets] == [True] * 3
    assert curves.first_half(sets, 0) != curves.first_half(sets, 1)


def test_curves_come_back_from_their_file(curves, tmp_path):
    halves = {(0, side, curves.OWN): around([0.5, 0.9, 0.6, 0.5]) for side in (0, 1)}
    one = curves.Halves(name="a", level="b", texts=80, chance=0.25, curves=halves)
    curves.write({"run": [one], "other": [one]}, tmp_path / "curves.npz")
    again = curves.read(tmp_path / "curves.npz")
    assert list(again) == ["run", "other"]
    assert (again["run"][0].level, again["run"][0].chance) == ("b", 0.25)
    np.testing.assert_array_equal(again["other"][0].curves[0, 1, curves.OWN], halves[0, 1, curves.OWN])


def test_a_planted_peak_is_found_on_the_other_half_where_rules_of_thumb_miss_it(benchmark, curves):
    data = planting.planted_data(n=120, per_group=2, mixed=True)
    strength = [0.1, 0.2, 1.6, 1.6, 0.3, 0.2, 0.1, 0.1, 0.0]
    vectors = np.stack(planting.activations(data, strength))
    spec = RunSpec(probe=ProbeSpec(methods=("ridge",)))
    read = {curves.OWN: vectors, curves.TEMPLATE: vectors[::-1]}
    (one,) = curves.measure([curves.Task(data=data, vectors=read, spec=spec)], splits=2)
    views = benchmark.regrets(one, [one])
    same, mirrored = views[benchmark.SAME], views[benchmark.RETOLD]
    assert same[benchmark.FLOOR] <= same["recommended"]
    for rule in benchmark.RULES:
        assert same["recommended"] < same[rule] - 10
    # Where the other template has its peak elsewhere, the choice is no better than a rule: nothing leaks between them.
    assert mirrored["recommended"] > 10


def test_a_rule_is_compared_on_the_data_sets_that_have_it(benchmark, capsys):
    rules = dict.fromkeys((*benchmark.RULES, benchmark.RANDOM), 9.0)
    rows = [rules | {"recommended": points} for points in (1.0, 2.0, 30.0)]
    rows[0][benchmark.ONE_WORDING], rows[1][benchmark.ONE_WORDING] = 0.5, 1.5
    benchmark.print_table("half", rows)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(benchmark.ONE_WORDING))
    assert line.split()[3] == "1.00"
    assert "-0.50 [-0.50, -0.50]" in line
    assert line.endswith("(2 data sets)")
