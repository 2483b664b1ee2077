"""Planted families and sizes: what is there is called, and what is not there is called at the stated rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

import fake_models as fake
from fake_models import FakeModel
from layeratlas.comparison.cohort import read_cohorts
from layeratlas.comparison.differences import differences
from layeratlas.comparison.models import read_models
from layeratlas.core import registry
from layeratlas.runs.finished import read_run
from layeratlas.stats import scaling
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.families import variance_parts
from layeratlas.stats.models_effect import ModelEffect, model_effect
from layeratlas.stats.scaling import BySize, Where, by_size, growth
from layeratlas.stats.segmentation import two_boundaries
from layeratlas.stats.slopes import slope_test
from layeratlas.stats.spread import spread_of

SIZES = np.log10([1e8, 4e8, 1.5e9, 7e9])
FLAT, LINE, STEP = np.full(4, 0.6), 0.6 + 0.07 * np.arange(4), np.array([0.6, 0.6, 0.6, 0.8])


def simulated(truth: np.ndarray, seed: int, spread: float = 0.02) -> BySize:
    """Values of four sizes with correlated noise, a bootstrap and halves, as a run gives them."""
    rng = np.random.default_rng([seed, 7])
    mix = np.linalg.cholesky(spread**2 * (0.5 + 0.5 * np.eye(len(truth))))
    noise = rng.standard_normal((321, len(truth))) @ mix.T
    value = truth + noise[0]
    return BySize(
        log_size=SIZES[: len(truth)],
        values=value,
        noise=noise[1:301],
        half_a=value + noise[301:],
        half_b=value - noise[301:],
    )


def rates(truth: np.ndarray, runs: int) -> Counter[str]:
    growths = [growth(simulated(truth, seed), seed) for seed in range(runs)]
    return Counter({
        "changes": sum(g.verdict == "supported" for g in growths),
        "threshold": sum(g.shape == "threshold" for g in growths),
        "linear": sum(g.shape == "linear" for g in growths),
    })  # fmt: skip


def at_most(hits: int, of: int, rate: float) -> bool:
    """Whether so many hits miss a rate by no more than chance 1 time in 100."""
    return bool(binom.sf(hits - 1, of, rate) > 0.01)


def check_shapes(runs: int) -> None:
    flat, line, step = (rates(truth, runs) for truth in (FLAT, LINE, STEP))
    assert at_most(flat["changes"], runs, 0.05)
    assert at_most(line["threshold"], runs, 0.05)
    assert at_most(step["linear"], runs, 0.05)
    assert line["changes"] >= 0.95 * runs
    assert line["linear"] >= 0.7 * runs
    assert step["threshold"] >= 0.85 * runs


def test_flat_linear_and_threshold_are_told_apart():
    check_shapes(60)


@pytest.mark.truth
def test_flat_linear_and_threshold_are_told_apart_at_the_stated_rates():
    check_shapes(1000)


def test_a_flat_value_is_called_flat_only_where_many_models_show_how_little_models_differ():
    """However well each of four models is measured, what else distinguishes them may hide a change."""
    few = simulated(FLAT, 0, 0.005)
    assert growth(few).verdict == "inconclusive"
    many = model_effect([simulated(FLAT, seed, 0.005).sized for seed in range(40)])
    growths = growth(few, effect=many)
    assert (growths.verdict, growths.shape) == ("not supported", "flat")


def covered(of_models: float, families: int, runs: int) -> int:
    """How many intervals hold a rise of 0.21 over four sizes whose models differ by so much beside their size."""
    hits = 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 5])
        moved = [
            simulated(LINE + of_models * rng.standard_normal(4), seed * families + number) for number in range(families)
        ]
        growths = growth(moved[0], seed, effect=model_effect([data.sized for data in moved]))
        hits += growths.lo <= LINE[3] - LINE[0] <= growths.hi
    return hits


@pytest.mark.parametrize("families", [1, 3])
def test_what_distinguishes_models_of_one_size_is_in_the_interval(families):
    assert at_most(60 - covered(0.02, families, 60), 60, 0.05)
    assert at_most(60 - covered(0.05, families, 60), 60, 0.1)


def test_without_the_effect_of_models_the_interval_is_too_narrow(monkeypatch):
    monkeypatch.setattr(scaling, "model_effect", lambda families: ModelEffect(0.0, 1e9))
    moved = [simulated(FLAT + 0.05 * np.random.default_rng(seed).standard_normal(4), seed) for seed in range(40)]
    assert sum(growth(data).verdict == "supported" for data in moved) > 8


def test_models_of_one_size_are_one_size():
    curves = [fake.curve(FakeModel(f"m{i}", fake.rise(0.7)), "item", "resid") for i in range(4)]
    kept = [
        LevelDraws(estimate=c.estimate, draws=c.draws, half_a=c.half_a, half_b=c.half_b, floor=c.floor) for c in curves
    ]
    data = by_size(kept, [1e9, 7e9, 7e9, 3e9], "resid", Where.LAST)
    assert data.log_size.tolist() == pytest.approx(np.log10([1e9, 3e9, 7e9]).tolist())
    assert data.values[2] == pytest.approx((kept[1].estimate[-1] + kept[2].estimate[-1]) / 2)
    assert growth(data).sizes == 3


def family_rates(effect: float, runs: int) -> tuple[int, float]:
    """Two families of four sizes: how often family is supported, and the smallest p there is."""
    hits, least = 0, 1.0
    names = list("aaaabbbb")
    for seed in range(runs):
        rng = np.random.default_rng([seed, 3])
        y = 0.3 * np.tile(SIZES, 2)[:, None] + 0.1 * rng.standard_normal((8, 3))
        y[:4, 0] += effect
        parts = variance_parts(y, names, np.tile(SIZES, 2))
        hits += parts[0].p_all <= 0.05
        least = parts[0].smallest
    return hits, least


def test_family_is_found_beyond_size_and_not_where_there_is_none():
    none, least = family_rates(0.0, 60)
    growths, _ = family_rates(1.0, 10)
    assert at_most(none, 60, 0.05)
    assert growths == 10
    assert least == pytest.approx(2 / 70)


@pytest.mark.truth
def test_family_is_found_at_the_stated_rate():
    assert at_most(family_rates(0.0, 1000)[0], 1000, 0.05)


def test_what_so_few_models_cannot_show_is_said():
    y = np.array([[1.0], [1.1], [5.0], [5.1]])
    assert variance_parts(y[:3], ["a", "a", "b"], SIZES[:3]) == []
    parts = variance_parts(y, ["a", "a", "b", "b"], SIZES)
    assert parts[0].smallest == pytest.approx(1 / 3)
    assert parts[0].p >= parts[0].smallest
    assert slope_test(np.array([1.0, 2.0, 3.0]), SIZES[:3])[1:] == pytest.approx((1 / 3, 1 / 3))


def test_assignments_are_sampled_where_they_are_too_many():
    rng = np.random.default_rng(0)
    names = [c for c in "abcd" for _ in range(4)]
    part = variance_parts(rng.standard_normal((16, 1)), names, rng.random(16))[0]
    assert (part.assignments, part.smallest) == (9999, 1 / 10000)


def test_cuts_of_nothing_spread_as_the_methods_say():
    one, two = spread_of(np.array([[0.3, 0.6], [0.31, 0.62], [0.3, 0.61], [0.3, 0.6]]), [32, 40, 32, 80], signals=6)
    # A smooth ramp without boundaries has a CV of 0.092 and 0.047, random cuts one of 0.68 and 0.33.
    assert one.ramp[1] == pytest.approx(0.092, abs=0.02)
    assert two.ramp[1] == pytest.approx(0.047, abs=0.01)
    assert one.random[1] == pytest.approx(0.68, abs=0.06)
    assert two.random[1] == pytest.approx(0.33, abs=0.04)
    assert one.stable
    wild = spread_of(np.array([[0.1, 0.3], [0.5, 0.8], [0.2, 0.9], [0.4, 0.5]]), [32, 40, 32, 80])
    assert wild[0].variable
    assert not wild[0].stable


def test_planted_steps_are_cut_where_they_are():
    steps = np.repeat([0.0, 1.0, -1.0], [8, 12, 12])[None, None] + np.zeros((1, 2, 32))
    assert two_boundaries(steps)[0].tolist() == [[8, 20]]


def different(truth: Callable[[int], tuple[FakeModel, FakeModel]], runs: int, folder: Path) -> int:
    """How often a pair of models differs in the depth or value of any peak."""
    hits = 0
    for seed in range(runs):
        folders = [fake.write_model(folder / f"{seed}{m.name}", m) for m in truth(seed)]
        (cohort,) = read_cohorts(folders)
        rows = differences(cohort.study, read_models(cohort))
        hits += {q: "supported" in set(mine["verdict"]) for (q,), mine in rows.group_by("quantity")}["peak depth"]
    return hits


def twins(seed: int) -> tuple[FakeModel, FakeModel]:
    one = FakeModel("one", lambda level, d: fake.hump(0.4)(d), texts=seed)
    return one, replace(one, name="two", layers=30)


def apart(seed: int) -> tuple[FakeModel, FakeModel]:
    one, two = twins(seed)
    return one, replace(two, truth=lambda level, d: fake.hump(0.4 + 0.2 * (level == "item"))(d))


def test_equal_models_do_not_differ_and_different_ones_do(tmp_path):
    assert at_most(different(twins, 25, tmp_path), 25, 0.05)
    assert different(apart, 4, tmp_path / "apart") == 4


@pytest.mark.truth
def test_equal_models_differ_at_the_stated_rate(tmp_path):
    assert at_most(different(twins, 400, tmp_path), 400, 0.05)


def ability(folder: Path, tops: dict[str, tuple[float, ...]], claim: str = "x7") -> str:
    """The verdict on a claim about sizes, of models whose last exits reach these accuracies."""
    runs = []
    for i in range(len(next(iter(tops.values())))):
        model = FakeModel(
            f"m{i}", lambda level, d, i=i: fake.rise(tops[level][i])(level, d), parameters=1e9 * 3**i, study="exits",
            levels=tuple(tops), spread=0.008,
        )  # fmt: skip
        runs.append(read_run(fake.write_model(folder / f"m{i}", model)))
    return registry.get("claims", claim).judge(runs).verdict


@pytest.mark.parametrize(
    ("reasoning", "facts", "verdict"),
    [
        # That facts hardly rise is shown by many sizes alone: the models of three may differ by more than that.
        ((0.6,) * 16 + (0.8,) * 8, (0.7,) * 24, "supported"),
        ((0.6, 0.6, 0.8), (0.7, 0.7, 0.71), "inconclusive"),
        ((0.6, 0.7, 0.8), (0.7, 0.7, 0.71), "not supported"),
        ((0.6, 0.6, 0.8), (0.5, 0.7, 0.9), "not supported"),
    ],
)
def test_a_threshold_of_reasoning_is_claimed_of_a_threshold_alone(tmp_path, reasoning, facts, verdict):
    assert ability(tmp_path, {"reasoning": reasoning, "facts": facts}) == verdict


@pytest.mark.parametrize(("claim", "level"), [("x7_logic", "logic"), ("x7_truth", "truthfulness")])
@pytest.mark.parametrize(
    ("tops", "verdict"),
    [
        ((0.6, 0.6, 0.6, 0.8), "supported"),
        ((0.6, 0.67, 0.73, 0.8), "not supported"),
        ((0.8, 0.7, 0.65, 0.6), "not supported"),
        ((0.7, 0.7, 0.7, 0.7), "inconclusive"),
    ],
)
def test_a_threshold_of_another_level_is_claimed_of_a_threshold_alone(tmp_path, claim, level, tops, verdict):
    assert ability(tmp_path, {level: tops}, claim) == verdict


def test_claims_that_need_more_say_what_to_run(tmp_path):
    judged = registry.get("claims", "x7").judge([])
    assert (judged.verdict, judged.needs) == ("inconclusive", "layeratlas run exits on 3 sizes of a family (here 0)")


@pytest.mark.parametrize(("gap", "verdict"), [(40.0, "supported"), (1.0, "inconclusive")])
def test_local_brittleness_goes_with_family_where_it_does(tmp_path, gap, verdict):
    runs = []
    rng = np.random.default_rng(1)
    for i in range(8):
        b = 10 ** (0.2 * rng.standard_normal()) * (gap if i < 4 else 1)
        model = FakeModel(
            f"m{i}", fake.rise(0.8), family="llama" if i < 4 else "qwen2", parameters=[1e9, 3e9, 8e9, 7e10][i % 4],
            study="segments", brittleness={"Local": b}, levels=("item",),
        )  # fmt: skip
        runs.append(read_run(fake.write_model(tmp_path / f"m{i}", model)))
    assert registry.get("claims", "p_brittleness").judge(runs).verdict == verdict


@pytest.mark.parametrize(("steady", "verdict"), [(True, "supported"), (False, "not supported")])
def test_boundaries_of_two_families_are_read_beside_those_of_nothing(tmp_path, steady, verdict):
    still, wild = [(0.25, 0.7)] * 4, [(0.1, 0.3), (0.6, 0.9), (0.15, 0.85), (0.45, 0.5)]
    places = [*still, *wild] if steady else [*wild, *still]
    runs = [
        read_run(
            fake.write_model(
                tmp_path / f"m{i}",
                FakeModel(
                    f"m{i}", fake.rise(0.8), family="llama" if i < 4 else "qwen2", parameters=1e9 * (1 + i),
                    study="segments", boundaries=at, levels=("item",), layers=32,
                ),
            )
        )
        for i, at in enumerate(places)
    ]  # fmt: skip
    assert registry.get("claims", "p_boundaries").judge(runs).verdict == verdict
