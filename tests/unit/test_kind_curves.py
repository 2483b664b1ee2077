"""The largest difference between curves of kinds of texts: planted, absent, grouped, and with unequal variances."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.stats.kind_curves import largest_difference

LAYERS = 12


def curves(kinds, seed, shift=0.0, layer=5, sd=0.05, group=0.0, each=12):
    """Curves (n, L) of `kinds` kinds with `each` texts: noise, and a shift of the last kind at a layer."""
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(kinds), each)
    groups = np.tile(np.arange(each), kinds)
    noise = rng.standard_normal((kinds * each, LAYERS)) + rng.standard_normal((kinds * each, 1))
    values = 0.5 + sd * noise + group * rng.standard_normal((each, LAYERS))[groups]
    values[codes == kinds - 1, layer] += shift
    return values, codes, groups


def found(values, codes, groups=None, seed=0):
    own = np.arange(len(values)) if groups is None else groups
    return largest_difference(values, codes, own, shuffles=199, seed=seed)


def test_a_planted_difference_is_found_at_its_layer_between_its_kinds():
    result = found(*curves(3, 1, shift=0.3)[:2])
    assert (result.layer, result.second) == (5, 2)
    assert result.p == pytest.approx(1 / 200)
    assert result.lo < -0.3 < result.hi < 0
    assert result.farthest > 0.3


def test_equal_kinds_are_close_and_not_told_apart():
    result = found(*curves(2, 2, sd=0.01, each=20)[:2])
    assert result.p > 0.05
    assert result.lo < 0 < result.hi
    assert result.farthest < 0.05


def test_translations_are_compared_within_their_group():
    """The texts differ far more than the kinds."""
    values, codes, groups = curves(2, 3, shift=0.1, sd=0.02, group=0.5)
    assert found(values, codes, groups).p < 0.05
    assert found(values, codes).p > 0.05  # negative control: as if they were no translations


def test_texts_of_one_kind_and_group_count_once():
    values, codes, groups = curves(2, 4)
    twice = found(np.repeat(values, 2, 0), np.repeat(codes, 2), np.repeat(groups, 2))
    assert twice == found(values, codes, groups)


def test_the_order_of_texts_does_not_matter():
    values, codes, groups = curves(3, 5, shift=0.2)
    order = np.random.default_rng(0).permutation(len(values))
    same, mixed = found(values, codes, groups), found(values[order], codes[order], groups[order])
    assert same.estimate == pytest.approx(mixed.estimate)
    assert same.layer == mixed.layer


@pytest.mark.parametrize(
    ("kinds", "grouped", "spread"), [(2, False, 1.0), (6, False, 1.0), (6, True, 1.0), (2, False, 3.0)]
)
def test_equal_kinds_differ_at_most_at_the_nominal_rate(kinds, grouped, spread):
    """More than 10 of 100 at 5 % happen in 1 % of trials; the last case has kinds of unequal variance."""
    false, held = 0, 0
    for seed in range(100):
        values, codes, groups = curves(kinds, seed, group=0.2 * grouped, each=10)
        values[codes == 0] = 0.5 + spread * (values[codes == 0] - 0.5)
        result = found(values, codes, groups if grouped else None, seed)
        false += result.p <= 0.05
        held += result.lo <= 0 <= result.hi
    assert false <= 10
    assert held >= 90
    print(f"{kinds} kinds, grouped {grouped}, spread {spread}: {false} of 100")


def test_the_largest_of_many_layers_uncorrected_would_be_found_too_often():
    """Negative control: the p of the chosen layer by itself."""
    from scipy import stats

    false = 0
    for seed in range(60):
        values, codes, _ = curves(2, seed, sd=0.05)
        false += stats.ttest_ind(values[codes == 0], values[codes == 1], equal_var=False).pvalue.min() <= 0.05
    assert false > 9


def test_power_for_a_difference_as_large_as_the_noise():
    hits = sum(found(*curves(2, seed, shift=0.12, each=16)[:2], seed=seed).p <= 0.05 for seed in range(40))
    assert hits >= 32
