"""Divergences against closed forms and scipy, at sizes from nothing to one-hot."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from scipy.stats import entropy

from layeratlas.studies.segments.outcomes import OUTCOMES, Reference, judge_of


def test_divergences_equal_scipys():
    rng = np.random.default_rng(0)
    clean, edited = rng.normal(0, 3, (2, 6, 50)).astype(np.float32)
    targets = rng.integers(0, 50, 6)
    found = Reference(clean, targets).against(edited, jsd=True)
    p, q = softmax(clean.astype(float), axis=1), softmax(edited.astype(float), axis=1)
    np.testing.assert_allclose(found.kl, entropy(p, q, axis=1), rtol=1e-10)
    np.testing.assert_allclose(found.jsd, jensenshannon(p, q, axis=1) ** 2, rtol=1e-10)
    np.testing.assert_allclose(found.nll, np.log(p / q)[np.arange(6), targets], rtol=1e-10)
    assert found.flips.tolist() == (p.argmax(1) != q.argmax(1)).astype(float).tolist()


def test_equal_logits_give_exactly_nothing():
    logits = np.random.default_rng(1).normal(0, 5, (4, 3000)).astype(np.float32)
    found = Reference(logits, np.zeros(4, np.int64)).against(logits.copy(), jsd=True)
    assert (found.kl == 0).all()
    assert (found.jsd == 0).all()
    assert (found.nll == 0).all()
    assert (found.flips == 0).all()


@pytest.mark.parametrize("size", [1e-2, 1e-4])
def test_a_tiny_change_gives_half_the_variance_of_its_logits(size):
    """KL = Var_p(d) / 2 + O(d^3): float32 sums would lose this in rounding."""
    rng = np.random.default_rng(2)
    clean = rng.normal(0, 3, (4, 20000))
    change = rng.normal(0, size, clean.shape)
    found = Reference(clean, np.zeros(4, np.int64)).against(clean + change, jsd=True)
    p = softmax(clean, axis=1)
    mean = (p * change).sum(1, keepdims=True)
    wanted = (p * (change - mean) ** 2).sum(1) / 2
    np.testing.assert_allclose(found.kl, wanted, rtol=20 * size)
    np.testing.assert_allclose(found.jsd, wanted / 4, rtol=20 * size)


def test_opposite_certainties_stay_finite_and_bounded():
    clean, edited = np.array([[200.0, -200.0]]), np.array([[-200.0, 200.0]])
    found = Reference(clean, np.array([0])).against(edited, jsd=True)
    assert found.kl[0] == pytest.approx(400)
    assert found.jsd[0] == pytest.approx(np.log(2))
    assert found.flips[0] == 1


def test_a_judge_gives_means_in_order_and_the_costly_divergence_where_it_is_asked_for():
    rng = np.random.default_rng(3)
    clean, edited = rng.normal(0, 3, (2, 6, 50)).astype(np.float32)
    targets = rng.integers(0, 50, 6)
    judge = judge_of([True, False])(clean, targets)
    outcome = Reference(clean, targets).against(edited, jsd=True)
    assert judge(0, edited).tolist() == [getattr(outcome, name).mean() for name in OUTCOMES]
    assert np.isnan(judge(1, edited)[OUTCOMES.index("jsd")])
