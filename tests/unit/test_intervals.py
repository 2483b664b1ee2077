"""No interval claims more than its groups can: none has a width of 0, and one group says nothing of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

import planting
from layeratlas.core.arrays import Floats
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design
from layeratlas.stats.curves import Curve
from layeratlas.stats.design_effects import Effective, classes_factor, credit_factor, effective, wilson
from layeratlas.stats.intervals import Z95, draws_interval, few_groups, mean_interval, share_interval
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.verdicts import bootstrapped
from layeratlas.studies.hierarchy.curves import task_curves


@given(st.floats(0, 1), st.integers(1, 500))
def test_draws_that_all_agree_have_the_width_of_what_their_groups_could_miss(value, groups):
    lo, hi = draws_interval(np.full(200, value), groups, least=0.0, most=1.0)
    assert 0 <= lo <= value <= hi <= 1
    assert hi - lo >= min(1.0, 3 / groups) - 1e-12


@given(st.lists(st.floats(0, 1), min_size=20, max_size=40), st.floats(0, 1), st.integers(2, 500))
def test_the_interval_of_a_share_holds_its_estimate_and_stays_a_share(draws, estimate, groups):
    lo, hi = share_interval(np.array([estimate]), np.array(draws)[:, None], groups, Effective(4 * groups, groups))
    assert 0 <= lo <= estimate <= hi <= 1
    assert hi > lo


def widened_by(shares: Floats, items: int, times: float = 1.0) -> tuple[Floats, Floats, int, Effective]:
    """Return the arguments of `share_interval` for equally large groups (trials, G) with these shares.

    Two draws stand for the bootstrap: one standard error below the estimate and one above it.
    """
    groups, estimate = shares.shape[1], shares.mean(1)
    error = shares.std(1) / np.sqrt(groups) * few_groups(groups) * times
    return estimate, np.stack([estimate - error, estimate + error]), groups, Effective(items, groups)


def of_groups(wrong: Sequence[int], size: int) -> tuple[float, float]:
    """Return the interval for groups of `size` questions with these numbers of wrong answers."""
    lo, hi = share_interval(*widened_by(1 - np.array([wrong]) / size, len(wrong) * size))
    return float(lo[0]), float(hi[0])


@pytest.mark.parametrize("wrong", [1, 3, 20, 39])
def test_where_each_group_is_one_question_the_interval_is_wilsons(wrong):
    known = scipy.stats.binomtest(40 - wrong, 40).proportion_ci(method="wilson")
    np.testing.assert_allclose(of_groups([1] * wrong + [0] * (40 - wrong), 1), known, atol=1e-6)


def test_with_many_groups_the_interval_is_wilsons_at_the_effective_size():
    rng = np.random.default_rng(0)
    shares = rng.beta(4, 2, 2000)
    right = rng.binomial(10, shares) / 10
    size = right.mean() * (1 - right.mean()) / (right.var(ddof=1) / 2000)
    expected = wilson(np.array(right.mean()), size, Z95)
    np.testing.assert_allclose(share_interval(*widened_by(right[None], 20_000)), np.array(expected)[:, None], atol=2e-4)


def test_a_groups_size_must_be_large_for_students_t():
    """Between ends that do not matter, few groups give Student's t: here 1 / D has a known posterior."""
    shares = 0.5 + 0.02 * scipy.stats.norm.ppf((np.arange(8) + 0.5) / 8)
    lo, hi = share_interval(*widened_by(shares[None], 8 * 2000))
    student = scipy.stats.t.ppf(0.975, 7) * shares.std(ddof=1) / np.sqrt(8)
    assert (hi - lo) / 2 == pytest.approx(student, rel=0.03)


def test_one_wrong_answer_does_not_show_that_groups_are_unlike():
    """A single wrong answer estimates a design effect of 1 whatever the true one is; taken for it, 0.8 is excluded."""
    low, _ = of_groups([1] + [0] * 7, 10)
    plugged, _ = wilson(np.array(79 / 80), 80 / few_groups(8) ** 2, Z95)
    assert low < 0.885
    assert plugged > 0.9
    # In groups of one question the same share says more.
    assert of_groups([1] + [0] * 79, 1)[0] > 0.93


def test_many_groups_that_are_all_right_or_all_wrong_have_an_interval():
    """The likelihood of any design effect but the largest is 0 in floating point."""
    lo, hi = of_groups([4] * 1000 + [0] * 3000, 4)
    known = scipy.stats.binomtest(3000, 4000).proportion_ci(method="wilson")
    np.testing.assert_allclose([lo, hi], known, atol=1e-3)


def test_groups_that_are_all_right_or_all_wrong_count_as_one_question_each():
    lo, hi = of_groups([10] * 4 + [0] * 16, 10)
    known = scipy.stats.binomtest(16, 20).proportion_ci(method="wilson")
    np.testing.assert_allclose([lo, hi], known, atol=0.02)


def test_the_interval_does_not_depend_on_which_answer_is_called_right():
    lo, hi = of_groups([4, 2, 1, 1, 0, 0, 0, 0], 10)
    low, high = of_groups([6, 8, 9, 9, 10, 10, 10, 10], 10)
    np.testing.assert_allclose([lo, hi], [1 - high, 1 - low], atol=1e-6)


def test_training_widens_the_interval_and_shared_credit_makes_it_smaller():
    shares = 1 - np.array([[4, 2, 1, 1, 0, 0, 0, 0]]) / 10
    once = share_interval(*widened_by(shares, 80))
    trained = share_interval(*widened_by(shares, 80, times=1.3), 1.3)
    np.testing.assert_allclose((trained[1] - trained[0]) / (once[1] - once[0]), 1.3, rtol=0.12)
    rng = np.random.default_rng(0)
    right = rng.random((2, 100_000)) < 0.8
    assert credit_factor(right[0] * 1.0) == pytest.approx(1)
    assert credit_factor(right.mean(0)) == pytest.approx(np.sqrt(0.5), rel=0.01)


def test_draws_that_vary_more_than_groups_can_have_their_own_width():
    estimate, draws, groups, of = widened_by(np.tile([0.5, 0.9], 10)[None], 80)
    wide = share_interval(estimate, estimate + 10 * (draws - estimate), groups, of)
    narrow = share_interval(estimate, draws, groups, of)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_groups_that_are_alike_do_not_count_for_more_than_their_items():
    """One of four is right in every group by design, but for one group: the draws hardly vary."""
    shares = np.r_[0.5, np.full(39, 0.25)][None]
    lo, hi = np.ravel(share_interval(*widened_by(shares, 160)))
    known = scipy.stats.binomtest(41, 160).proportion_ci(method="wilson")
    np.testing.assert_allclose([lo, hi], known, atol=2e-3)
    # The control: an interval of the draws alone is a fifth as wide.
    assert 2 * Z95 * shares.std() / np.sqrt(40) < (hi - lo) / 4


def test_effective_numbers_are_those_of_equal_weights():
    groups = np.repeat(np.arange(10), 3)
    assert effective(np.ones(30), groups) == pytest.approx((30, 10))
    # A rare class's texts weigh as much in a balanced accuracy as all others.
    items, _ = effective(np.where(np.arange(30) < 5, 1 / 5, 1 / 25), groups)
    assert items == pytest.approx(4 / (1 / 5 + 1 / 25))
    # One group with half of the items, and the other half one by one.
    assert effective(np.ones(20), np.r_[np.zeros(10, int), np.arange(1, 11)]).groups == pytest.approx(20**2 / 110)


def test_classes_that_are_right_unlike_often_do_not_widen_a_balanced_accuracy():
    """Each class has a fixed weight: the error is that of its own share."""
    y = np.repeat([0, 1], 4000)
    right = (np.random.default_rng(0).random((3, 8000)) < np.repeat([0.9, 0.5], 4000)).astype(float)
    np.testing.assert_allclose(classes_factor(right, y), np.sqrt((0.09 + 0.25) / 2 / (0.7 * 0.3)), rtol=0.02)
    # The rarer class decides.
    some = np.r_[0:4000, 4000:4400]
    np.testing.assert_allclose(
        classes_factor(right[:, some], y[some]), np.sqrt((0.09 / 11 + 0.25 * 10 / 11) / 0.21).clip(max=1), rtol=0.03
    )
    # Classes that are alike, and a class without errors that is too small to show it, are no reason to be narrower.
    assert classes_factor(np.tile([1.0, 0.0], 4000), y) == pytest.approx(1)
    small = np.r_[np.tile([1.0, 0.0], 50), np.ones(4)]
    assert classes_factor(small, np.r_[np.zeros(100), np.ones(4)]) > 0.9


def test_the_interval_of_a_balanced_accuracy_is_as_wide_as_its_classes_ask():
    """One class right in 49 of 50, the other in 15: as one share of 100 texts the interval is a third too wide."""
    items = tuple(Item(f"text {i}", "ab"[i % 2], f"g{i}") for i in range(100))
    spec = planting.LIGHT.model_copy(update={"repeats": 2, "shuffles": 20})
    design = make_design(Dataset("a", "a", items), spec, 0)
    right = np.where(design.y == 0, np.arange(100) >= 2, np.arange(100) < 30)
    scores = np.where(right, 1.0, -1.0) * np.where(design.y == 1, 1.0, -1.0)
    both = np.repeat(scores[None, None, :, None], 2, 1)  # two repeats alike: training adds 8 % of variance
    probed = planting.probed_from(design, both, np.full((1, 1, 3, 20), 0.5))
    curves = task_curves(probed, Resampler([item.group for item in items], 1000, 0))
    lo, hi = next(curve.interval for curve in curves if curve.metric == "balanced_accuracy")
    classes = [scipy.stats.binomtest(k, 50).proportion_ci(method="wilson") for k in (49, 15)]
    expected = np.hypot(*((high - low) / 2 for low, high in classes)) * np.sqrt(1.08)
    assert (hi - lo)[0] == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("shared", [0.3, 0.5])
def test_intervals_of_few_groups_contain_the_truth_as_often_as_they_say(shared):
    """Where the estimated design effect is taken for the true one, 0.9 is missed from above in 5 to 8 %."""
    rng = np.random.default_rng(0)
    noise = np.sqrt(shared) * rng.standard_normal((2000, 8, 1)) + np.sqrt(1 - shared) * rng.standard_normal(
        (2000, 8, 10)
    )
    for truth in (0.75, 0.9, 0.95):
        shares = (scipy.stats.norm.ppf(truth) + noise > 0).mean(2)
        estimate, draws, groups, of = widened_by(shares, 80)
        lo, hi = share_interval(estimate, draws, groups, of)
        assert 0.925 < np.mean((lo <= truth) & (truth <= hi)) < 0.975
    error = (draws[1] - estimate)[shares.mean(1) < 1]
    assert np.mean(error > 0) > 0.9


@pytest.mark.parametrize("count", [2, 3, 4])
def test_two_to_four_large_groups_contain_the_truth(count):
    """The model of the groups alone takes their spread for better known than Student's t does: 77 to 91 %."""
    rng = np.random.default_rng(0)
    shares = rng.binomial(50, rng.beta(0.5 * (1 / 0.3 - 1), 0.5 * (1 / 0.3 - 1), (1000, count))) / 50
    lo, hi = share_interval(*widened_by(shares, count * 50))
    assert np.mean((lo <= 0.5) & (hi >= 0.5)) > 0.93


def test_two_to_four_groups_of_one_question_have_wilsons_interval():
    """There is no design effect to be known."""
    known = scipy.stats.binomtest(3, 4).proportion_ci(method="wilson")
    np.testing.assert_allclose(of_groups([1, 0, 0, 0], 1), known, atol=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=20, max_size=40))
def test_one_group_allows_all_that_is_possible(draws):
    assert draws_interval(np.array(draws), 1, least=-1.0, most=1.0) == (-1.0, 1.0)
    effect = bootstrapped(0.5, np.full(100, 0.5), 1)
    assert (effect.lo, effect.hi, effect.p, effect.verdict()) == (-np.inf, np.inf, 1.0, "inconclusive")
    # Draws of two groups that differ decide.
    assert bootstrapped(0.5, np.linspace(0.4, 0.6, 100), 2).verdict() == "supported"


def test_the_mean_of_one_value_has_no_interval():
    assert np.isnan(mean_interval(np.full((50, 3), 0.2), 1)).all()
    lo, hi = mean_interval(np.linspace(0, 1, 101)[:, None], 2)
    np.testing.assert_allclose([lo, hi], [[0.025], [0.975]])


@pytest.mark.parametrize(
    ("metric", "groups", "lo", "hi"),
    [
        ("accuracy", 1, 0.0, 1.0),
        ("accuracy", 30, 0.4, 0.6),
        ("auroc", 1, 0.0, 1.0),
        ("r2", 1, np.nan, np.nan),
        ("spearman", 1, np.nan, np.nan),
    ],
)
def test_a_curve_of_one_group_has_no_interval_of_width_0(metric, groups, lo, hi):
    draws = np.full((100, 4), 0.5)
    curve = Curve(
        level="a",
        task="all",
        stratum="all",
        component="resid",
        method="ridge",
        metric=metric,
        estimate=draws[0],
        draws=draws,
        half_a=draws,
        half_b=draws,
        shuffles=draws,
        chance=0.5,
        baseline=0.5,
        n=9,
        n_groups=groups,
    )
    np.testing.assert_allclose(curve.interval, [[lo] * 4, [hi] * 4])
