"""P-values from few shuffles: exact ranks down to one shuffle, and valid predictions below."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from layeratlas.stats.shuffling import predicted_tail, shuffle_maxima, shuffle_p
from layeratlas.stats.slopes import slope_test
from layeratlas.stats.tests import rank_p, two_sided, two_sided_rank


def noise(rng: np.random.Generator, rows: int, layers: int = 12, rho: float = 0.7) -> np.ndarray:
    values = rng.standard_normal((rows, layers))
    for i in range(1, layers):
        values[:, i] = rho * values[:, i - 1] + np.sqrt(1 - rho**2) * values[:, i]
    return 0.5 + 0.03 * values


def p_of_noise(seed: int, shuffles: int, curves: int = 3) -> float:
    rng = np.random.default_rng([seed, shuffles])
    rows = [noise(rng, 1 + shuffles) for _ in range(curves)]
    maxima = np.stack([shuffle_maxima(curve[0], curve[1:]) for curve in rows]).max(0)
    return shuffle_p(float(maxima[0]), maxima[1:])


@pytest.mark.parametrize("shuffles", [20, 40])
def test_a_p_value_is_as_rare_as_it_says_also_below_one_shuffle(shuffles: int) -> None:
    ps = np.array([p_of_noise(seed, shuffles) for seed in range(800)])
    for level in (0.05, 0.01, 0.003):
        assert binom.sf((ps <= level).sum() - 1, len(ps), level) > 0.001
    assert (ps < 1 / (1 + shuffles)).any()


def test_where_a_shuffle_is_as_large_p_is_its_rank() -> None:
    null = np.arange(40.0)
    assert shuffle_p(37.5, null) == 3 / 41
    assert shuffle_p(39.0, null) == 2 / 41


def test_a_signal_is_surer_the_larger_it_is_whatever_the_number_of_shuffles() -> None:
    rows = noise(np.random.default_rng(0), 21)
    ps = []
    for height in (0.15, 0.3, 0.45):
        maxima = shuffle_maxima(rows[0] + height, rows[1:])
        ps.append(shuffle_p(float(maxima[0]), maxima[1:]))
    assert ps == sorted(ps, reverse=True)
    assert ps[0] < 1 / 21
    assert ps[2] < 1e-5


def test_all_rows_are_treated_alike() -> None:
    rows = noise(np.random.default_rng(1), 30)
    first = shuffle_maxima(rows[0], rows[1:])
    swapped = shuffle_maxima(rows[5], np.concatenate([rows[1:5], rows[:1], rows[6:]]))
    np.testing.assert_allclose(swapped[0], first[5])
    np.testing.assert_allclose(swapped[5], first[0])


def test_too_few_shuffles_are_not_continued() -> None:
    """Below 0.05 nothing would be left that is exact."""
    assert shuffle_p(20.0, np.zeros(18)) == 1 / 19


def test_more_independent_layers_make_a_maximum_less_rare() -> None:
    rng = np.random.default_rng(2)
    few, many = (rng.standard_normal((4000, layers)).max(1) for layers in (1, 30))
    assert predicted_tail(4.0, many) == pytest.approx(30 * predicted_tail(4.0, few), rel=0.1)


def test_what_could_not_be_measured_is_no_evidence() -> None:
    """A comparison with NaN is false, so that counting those that hold would give the smallest p of all."""
    null, missing = np.arange(40.0), float("nan")
    assert shuffle_p(missing, null) == rank_p(missing, null) == two_sided_rank(missing, null) == 1.0
    assert two_sided(np.full(200, missing)) == 1.0
    assert slope_test(np.array([1.0, missing, 3.0]), np.arange(3.0)).p == 1.0
    # Shuffles that could not be measured count as being as extreme; numbers are counted as before.
    assert rank_p(50.0, np.r_[null, missing]) == 2 / 42
    assert rank_p(50.0, null) == 1 / 41
    assert two_sided_rank(50.0, null) == two_sided_rank(-1.0, null) == 2 / 41
