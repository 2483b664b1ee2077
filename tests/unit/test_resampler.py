"""Resampling moves whole groups, together in every data set in which they stand."""

from __future__ import annotations

import numpy as np

from layeratlas.stats.resampling import Resampler

GROUPS = [f"g{i}" for i in range(30)]


def test_a_group_has_one_weight_wherever_it_stands():
    sampler = Resampler(GROUPS, 100, seed=0)
    one, two = sampler.weights(GROUPS + GROUPS[:5]), sampler.weights(GROUPS[::-1])
    assert np.array_equal(one[:, :30], two[:, ::-1])
    assert np.array_equal(one[:, 30:], one[:, :5])
    # Control: other groups have other weights.
    assert not np.array_equal(one[:, 0], one[:, 1])


def test_the_parts_are_the_sample_the_bootstrap_and_halves_with_their_complements():
    sampler = Resampler(GROUPS, 100, seed=0, halves=40)
    weights = sampler.weights(GROUPS)
    assert weights.shape == (1 + 100 + 80, 30)
    assert np.all(weights[0] == 1)
    boot, first, second = weights[1:101], weights[101:141], weights[141:]
    assert np.all(boot.sum(1) == 30)
    assert len(np.unique(boot, axis=0)) > 90
    assert set(np.unique(first)) == {0.0, 1.0}
    assert np.all(first + second == 1)
    assert np.all(first.sum(1) == 15)


def test_the_order_and_repetition_of_groups_do_not_matter_and_the_seed_does():
    weights = Resampler(GROUPS, 50, seed=0).weights(GROUPS)
    assert np.array_equal(weights, Resampler(GROUPS[::-1] * 2, 50, seed=0).weights(GROUPS))
    assert not np.array_equal(weights, Resampler(GROUPS, 50, seed=1).weights(GROUPS))


def test_the_bootstrap_spreads_as_a_mean_over_groups_does():
    """Items of a group agree: the spread is that of 30 groups, not of 300 items."""
    values = np.random.default_rng(0).standard_normal(30)
    weights = Resampler(GROUPS, 4000, seed=0).weights([g for g in GROUPS for _ in range(10)])[1:4001]
    draws = (weights @ values.repeat(10)) / weights.sum(1)
    assert abs(draws.std() / (values.std() / np.sqrt(30)) - 1) < 0.05
