"""Measures equal scikit-learn's and SciPy's; weights mean what repeated items mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from sklearn import metrics

from layeratlas.stats import measures

SEEDS = st.integers(0, 10_000)


def two_classes(seed, n=60, ties=True):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(float)
    y[:2] = 0, 1
    scores = rng.standard_normal(n) + y
    return (np.round(scores, 1) + 0.05 if ties else scores), y


def plain(measure, scores, y):
    """One set of scores (n, k) with every weight 1."""
    return float(measure(scores, y, np.ones((1, len(y))))[0])


@given(SEEDS)
def test_two_class_measures_equal_scikit_learn_with_ties(seed):
    scores, y = two_classes(seed)
    assert len(set(scores)) < len(scores)
    predicted = scores > 0
    assert plain(measures.accuracy, scores[:, None], y) == pytest.approx(metrics.accuracy_score(y, predicted))
    assert plain(measures.balanced_accuracy, scores[:, None], y) == pytest.approx(
        metrics.balanced_accuracy_score(y, predicted)
    )
    assert plain(measures.auroc, scores[:, None], y) == pytest.approx(metrics.roc_auc_score(y, scores))


@given(SEEDS)
def test_many_class_measures_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, 2, rng.choice(3, 50, p=[0.6, 0.3, 0.1])].astype(float)
    scores = rng.standard_normal((len(y), 3)) + np.eye(3)[y.astype(int)]
    predicted = scores.argmax(1)
    assert plain(measures.accuracy, scores, y) == pytest.approx(metrics.accuracy_score(y, predicted))
    assert plain(measures.balanced_accuracy, scores, y) == pytest.approx(metrics.balanced_accuracy_score(y, predicted))


@given(SEEDS)
def test_number_measures_equal_scipy_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    y = np.round(rng.standard_normal(50), 1)
    scores = np.round(y + rng.standard_normal(50), 1)
    assert plain(measures.spearman, scores[:, None], y) == pytest.approx(spearmanr(scores, y)[0])
    assert plain(measures.r2, scores[:, None], y) == pytest.approx(metrics.r2_score(y, scores))


@given(SEEDS, st.booleans())
def test_ranks_equal_scipys_also_with_ties_and_nan(seed, missing):
    rng = np.random.default_rng(seed)
    values = rng.integers(-3, 3, size=(4, 2, 12)) / 2
    if missing:
        values[1, 0, 3] = np.nan
    assert np.array_equal(measures.ranks(values), rankdata(values, axis=-1), equal_nan=True)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auroc", "spearman", "r2"])
def test_many_scores_labels_and_weights_at_once_are_as_one_at_a_time(name):
    """Scores (layers, tasks, n, 1) against labels (tasks, n), as in control tasks, under several weights."""
    rng = np.random.default_rng(4)
    y = (rng.random((3, 30)) < 0.4).astype(float) if name not in ("spearman", "r2") else rng.standard_normal((3, 30))
    scores, weights = np.round(rng.standard_normal((2, 3, 30, 1)), 1), rng.integers(0, 3, (4, 30)).astype(float)
    measure = getattr(measures, name)
    together = measure(scores, y, weights)
    assert together.shape == (4, 2, 3)
    for at in np.ndindex(together.shape):
        b, layer, task = at
        assert together[at] == pytest.approx(measure(scores[layer, task], y[task], weights[[b]])[0])
    assert not np.allclose(together[:, :, 0], together[:, :, 1])


@given(SEEDS, st.sampled_from(["accuracy", "balanced_accuracy"]), st.sampled_from([1, 3]))
def test_a_weight_is_a_literal_repetition(seed, name, k):
    rng = np.random.default_rng(seed)
    y = np.r_[0, 1, 2, rng.integers(3, size=40)].astype(float) if k == 3 else two_classes(seed)[1]
    scores = rng.standard_normal((len(y), k))
    times = rng.integers(0, 4, len(y))
    times[:3] = 1
    measure = getattr(measures, name)
    weighted = measure(scores, y, times[None].astype(float))[0]
    assert weighted == pytest.approx(plain(measure, scores.repeat(times, 0), y.repeat(times)))


def test_r2_weights_are_literal_repetitions_too():
    rng = np.random.default_rng(0)
    y, times = rng.standard_normal(40), rng.integers(0, 4, 40)
    scores = (y + rng.standard_normal(40))[:, None]
    repeated = plain(measures.r2, scores.repeat(times, 0), y.repeat(times))
    assert measures.r2(scores, y, times[None].astype(float))[0] == pytest.approx(repeated)


@given(SEEDS)
def test_auroc_weights_are_right_to_first_order(seed):
    """Against scikit-learn's weighted area: the error shrinks with the square of the change in weights."""
    scores, y = two_classes(seed)
    change = np.random.default_rng(seed).standard_normal(len(y))
    full = metrics.roc_auc_score(y, scores)
    errors = []
    for step in (1e-2, 1e-3):
        weights = 1 + step * change
        exact = metrics.roc_auc_score(y, scores, sample_weight=weights)
        errors.append(abs(measures.auroc(scores[:, None], y, weights[None])[0] - exact))
    assert errors[1] < 1e-5
    assert errors[1] <= errors[0] / 50 + 1e-12
    # Control: without the weights the error shrinks in proportion only.
    assert abs(full - exact) > 10 * errors[1] or abs(full - exact) < 1e-5


def test_bootstrap_spreads_of_first_order_measures_are_those_of_literal_resampling():
    """Spearman keeps the ranks of the whole sample and AUROC is linear in the weights; both spread as they should."""
    rng = np.random.default_rng(1)
    y = rng.standard_normal(150)
    scores = y + rng.standard_normal(150)
    picks = rng.integers(150, size=(400, 150))
    weights = np.stack([np.bincount(pick, minlength=150) for pick in picks]).astype(float)
    literal = np.std([spearmanr(scores[p], y[p])[0] for p in picks])
    assert measures.spearman(scores[:, None], y, weights).std() == pytest.approx(literal, rel=0.15)
    labels = (y > 0).astype(float)
    literal = np.std([metrics.roc_auc_score(labels[p], scores[p]) for p in picks])
    assert measures.auroc(scores[:, None], labels, weights).std() == pytest.approx(literal, rel=0.1)


def test_ties_get_their_fair_share():
    """A score of exactly 0, and equal best scores, are neither right nor wrong."""
    y = np.array([0.0, 1, 1, 0])
    assert measures.credit(np.array([[0.0], [0], [2], [3]]), y).tolist() == [0.5, 0.5, 1, 0]
    scores = np.array([[1.0, 1, 0], [1, 1, 1], [5, 1, 5], [0, 2, 1]])
    assert measures.credit(scores, np.array([0.0, 1, 1, 1])) == pytest.approx([1 / 2, 1 / 3, 0, 1])


@pytest.mark.parametrize("k", [1, 2, 4])
def test_a_probe_that_says_the_same_of_everything_is_at_chance_by_every_measure(k):
    rng = np.random.default_rng(k)
    y = rng.permutation(np.repeat(np.arange(max(k, 2)), 12)).astype(float)
    scores = np.zeros((len(y), k))
    for name, measure in measures.measures_for("classes", max(k, 2)).items():
        if not (name == "auroc" and k > 1):
            assert plain(measure, scores, y) == pytest.approx(measures.chance(name, y))
    assert plain(measures.spearman, np.ones((48, 1)), rng.standard_normal(48)) == 0.0


def test_chance_is_that_of_a_probe_that_knows_the_shares():
    y = np.array([0.0] * 6 + [1] * 3 + [2])
    assert measures.chance("accuracy", y) == 0.6
    assert measures.chance("balanced_accuracy", y) == pytest.approx(1 / 3)
    assert measures.chance("auroc", y) == 0.5
    assert measures.chance("spearman", y) == measures.chance("r2", y) == 0.0
    known = np.tile([3.0, 2, 1], (10, 1))
    assert plain(measures.accuracy, known, y) == measures.chance("accuracy", y)
    assert plain(measures.balanced_accuracy, known, y) == pytest.approx(measures.chance("balanced_accuracy", y))
    assert plain(measures.r2, np.full((10, 1), y.mean()), y) == pytest.approx(0.0)


def test_the_first_measure_is_the_main_one():
    assert list(measures.measures_for("classes", 2)) == ["accuracy", "balanced_accuracy", "auroc"]
    assert list(measures.measures_for("classes", 5)) == ["accuracy", "balanced_accuracy"]
    assert list(measures.measures_for("number", 0)) == ["spearman", "r2"]


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "auroc"])
def test_leading_axes_and_weights_are_independent(name):
    """(P, repeats, n, k) scores with (b, n) weights give (b, P, repeats), each the same as alone."""
    rng = np.random.default_rng(0)
    y = np.r_[0, 1, rng.integers(2, size=30)].astype(float)
    scores, weights = rng.standard_normal((2, 3, 32, 1)), rng.integers(1, 4, (5, 32)).astype(float)
    measure = getattr(measures, name)
    together = measure(scores, y, weights)
    assert together.shape == (5, 2, 3)
    for b, p, r in np.ndindex(5, 2, 3):
        assert together[b, p, r] == pytest.approx(measure(scores[p, r], y, weights[b : b + 1])[0])
