"""No interval claims more than its groups can: none has a width of 0, and one group says nothing of others."""

from __future__ import annotations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import draws_interval, mean_interval, percentile_interval, share_interval
from layeratlas.stats.verdicts import bootstrapped


@given(st.floats(0, 1), st.integers(1, 500))
def test_draws_that_all_agree_have_the_width_of_what_their_groups_could_miss(value, groups):
    lo, hi = draws_interval(np.full(200, value), groups, least=0.0, most=1.0)
    assert 0 <= lo <= value <= hi <= 1
    assert hi - lo >= min(1.0, 3 / groups) - 1e-12


@given(st.lists(st.floats(0, 1), min_size=20, max_size=40), st.floats(0, 1), st.integers(2, 500))
def test_the_interval_of_a_share_holds_its_estimate_and_stays_a_share(draws, estimate, groups):
    lo, hi = share_interval(np.array(estimate), np.array(draws), groups, 4 * groups)
    assert 0 <= lo <= estimate <= hi <= 1
    assert hi > lo


def test_the_interval_of_a_share_near_the_ceiling_reaches_further_down_than_up():
    rng = np.random.default_rng(0)
    draws = rng.binomial(20, 0.9, 4000) / 20
    lo, hi = share_interval(np.array(0.9), draws, 20, 20)
    assert 0.9 - lo > 1.5 * (hi - 0.9)
    below, _ = percentile_interval(draws)  # percentiles mirror the tail
    assert lo < below
    even = 0.5 + 0.05 * rng.standard_normal(4000)
    np.testing.assert_allclose(share_interval(np.array(0.5), even, 500, 500), percentile_interval(even), atol=0.005)


def test_groups_that_are_alike_do_not_count_for_more_than_their_items():
    """One of four is right in every group by design, but for one group: the draws hardly vary."""
    rng = np.random.default_rng(0)
    shares = np.r_[0.5, np.full(39, 0.25)]
    draws = shares[rng.integers(0, 40, (4000, 40))].mean(1)
    lo, hi = share_interval(np.array(shares.mean()), draws, 40, 160)
    wilson = scipy.stats.binomtest(41, 160).proportion_ci(method="wilson")
    np.testing.assert_allclose([lo, hi], wilson, atol=1e-3)
    # The control: without the bound on the effective number it is a fifth as wide.
    bare = share_interval(np.array(shares.mean()), draws, 40, 10**9)
    assert bare[1] - bare[0] < (hi - lo) / 4


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
