"""Means over groups: the interval holds for other groups, and only as surely as there are groups."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.stats.group_means import group_means
from layeratlas.stats.resampling import Resampler
from layeratlas.stats.tests import holm, sign_flip


def drawn(mean: float, groups: int, each: int, seed: int):
    """Values of items whose groups differ by 1 and whose items differ by 0.1, with their groups."""
    rng = np.random.default_rng(seed)
    names = [f"g{group}" for group in range(groups) for _ in range(each)]
    values = mean + np.repeat(rng.standard_normal(groups), each) + 0.1 * rng.standard_normal(groups * each)
    return values[:, None], names


def test_the_interval_is_that_of_groups_and_not_of_items():
    covered, of_items = 0, 0
    for seed in range(60):
        values, names = drawn(0.5, 12, 5, seed)
        (effect,) = group_means(values, names, Resampler(names, 300, seed, halves=0)).effects()
        covered += effect.lo < 0.5 < effect.hi
        each = [str(item) for item in range(len(values))]
        (alone,) = group_means(values, each, Resampler(each, 300, seed, halves=0)).effects()
        of_items += alone.lo < 0.5 < alone.hi
    assert covered >= 52
    assert of_items < 45  # negative control: items taken as independent


def test_means_are_of_items_and_p_is_of_signs_of_groups():
    values = np.array([[1.0, 2], [3, -4], [2, 0], [6, 1]])
    names = ["a", "a", "b", "c"]
    found = group_means(values, names, Resampler(names, 200, 0, halves=10))
    assert found.sample.estimate == pytest.approx([3, -0.25])
    assert found.sums.tolist() == [[4, -2], [2, 0], [6, 1]]
    assert found.ps == [sign_flip(own) for own in found.sums.T]
    assert [effect.p for effect in found.effects()] == holm(found.ps)
    assert found.sample.half_a.shape == (10, 2)
    # Of three groups a half is one group, and its complement the other two.
    assert {round(value, 9) for value in found.sample.half_a[:, 0]} <= {2.0, 6.0}
