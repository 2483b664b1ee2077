"""Intervals, p-values and verdicts of bootstrapped effects: their limits are those that are documented."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from layeratlas.stats.intervals import draws_interval, few_groups, percentile_interval
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.tests import holm, two_sided_t, two_sided_z
from layeratlas.stats.verdicts import Effect, bootstrapped, holm_corrected

RNG = np.random.default_rng(0)


def test_draws_that_all_agree_reach_the_rule_of_three_and_no_further_than_the_limits():
    draws = np.c_[np.full(100, 0.2), np.full(100, 0.95), RNG.normal(size=100)]
    lo, hi = draws_interval(draws, 30, least=-1.0, most=1.0)
    assert (lo[:2], hi[:2]) == (pytest.approx([0.1, 0.85]), pytest.approx([0.3, 1.0]))
    assert (lo[2], hi[2]) == pytest.approx((max(np.quantile(draws[:, 2], 0.025), -1), 1.0))
    # Control: draws that differ keep their percentiles to the last bit.
    assert draws_interval(draws[:, 2], 30) == tuple(percentile_interval(draws[:, 2]))
    assert tuple(percentile_interval(draws[:, 2])) == tuple(np.percentile(draws[:, 2], [2.5, 97.5]))


def test_a_sample_is_split_by_what_its_rows_are():
    resampler = Resampler(["a", "b", "c", "d"], 5, 0, halves=3)
    weights = resampler.weights(["a", "b", "c", "d"])
    sample = split_draws(weights.sum(1), resampler)
    assert sample.estimate == 4
    assert sample.draws.tolist() == [4] * 5  # as many groups as there are
    assert sample.half_a.tolist() == sample.half_b.tolist() == [2] * 3
    assert np.array_equal(resampler.weights(["b", "b"], halves=False), weights[:6, [1, 1]])
    missing = np.where(np.arange(len(weights)) == 2, np.nan, np.arange(len(weights)) + 1.0)
    assert split_draws(missing, resampler).draws.tolist() == [2, 1, 4, 5, 6]


def test_a_normal_p_value_is_two_sided_and_no_smaller_than_the_draws_allow():
    assert two_sided_z(1.959964, 1.0, 1000) == pytest.approx(0.05, abs=1e-6)
    assert two_sided_z(-1.959964, 1.0, 1000) == two_sided_z(1.959964, 1.0, 1000)
    assert two_sided_z(0.0, 1.0, 1000) == 1.0
    assert two_sided_z(50.0, 1.0, 1000) == 1 / 1000
    assert two_sided_z(0.1, 0.0, 100) == 1 / 100


def test_effects_that_are_tested_together_are_corrected_together():
    effects = [Effect(estimate=float(i), p=p) for i, p in enumerate((0.01, 0.04, 0.03))]
    corrected = holm_corrected(effects)
    assert [effect.estimate for effect in corrected] == [0, 1, 2]
    assert [effect.p for effect in corrected] == holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_corrected([]) == []


def test_an_interval_and_a_p_value_must_agree_before_anything_is_supported():
    """Two of 100 draws below 0 leave 0 outside the interval, and a p-value of 6/101."""
    draws = np.r_[np.full(2, -0.1), np.linspace(0.1, 0.2, 98)]
    effect = bootstrapped(0.15, draws, 20)
    assert effect.lo > 0
    assert effect.p == pytest.approx(6 / 101)
    assert effect.verdict() == "inconclusive"
    assert bootstrapped(0.15, np.abs(draws), 20).verdict() == "supported"


def test_a_mean_of_few_groups_has_the_tail_of_student() -> None:
    """Equal to SciPy's one-sample test where the spread is what `widened` makes of the bootstrap's."""
    values = np.array([0.2, 0.5, 0.1, 0.4, 0.3, 0.6, 0.2, 0.7])
    bootstrap = values.std() / np.sqrt(len(values))
    p = two_sided_t(float(values.mean()), bootstrap * few_groups(len(values)), len(values) - 1)
    assert p == pytest.approx(float(scipy.stats.ttest_1samp(values, 0.0).pvalue), rel=1e-6)
    # Where the interval ends at zero, p is 0.05 as for the normal tail; a strong effect is not held back by draws.
    assert two_sided_t(1.959964, 1.0, 8) == pytest.approx(0.05, abs=1e-6)
    assert two_sided_t(7.0, 1.0, 30) < 1e-6 < two_sided_z(7.0, 1.0, 1000)
    # Few groups show less than many at the same ratio, and one group shows nothing.
    assert two_sided_t(3.0, 1.0, 6) > two_sided_t(3.0, 1.0, 60) > two_sided_z(3.0, 1.0, 100_000)
    assert two_sided_t(9.0, 1.0, 0) == 1.0


def test_the_tail_of_student_holds_far_out_where_the_normal_one_does_not() -> None:
    """Means of 8 groups without an effect: p of at most 0.005 comes in 0.5 % of them, several times as often by z."""
    groups = np.random.default_rng(5).standard_normal((4000, 8))
    spreads = groups.std(1) / np.sqrt(8) * few_groups(8)
    pairs = list(zip(groups.mean(1), spreads, strict=True))
    by_t = sum(two_sided_t(mean, spread, 7) <= 0.005 for mean, spread in pairs)
    by_z = sum(two_sided_z(mean, spread, 10**6) <= 0.005 for mean, spread in pairs)
    assert 8 <= by_t <= 34  # 20 expected
    assert by_z > 2 * by_t
