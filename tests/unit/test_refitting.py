"""What training adds to the spread of a cross-validated accuracy: nothing, or as much again, as the scores show."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.stats.refitting import margins, training_factor

LEAST = np.sqrt(1.08)
GROUPS = np.arange(60)
Y = np.arange(60) % 2
SIGN = np.where(Y == 1, 1.0, -1.0)


def scores_of(ahead):
    """Scores (repeats, n, 1) of two classes with these margins (repeats, n)."""
    return (np.asarray(ahead) * SIGN)[..., None]


def test_a_margin_is_how_far_the_true_class_is_ahead():
    np.testing.assert_array_equal(margins(np.array([[2.0], [-3.0]]), np.array([1, 1])), [2.0, -3.0])
    np.testing.assert_array_equal(margins(np.array([[2.0], [-3.0]]), np.array([0, 0])), [-2.0, 3.0])
    three = np.array([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0]])
    np.testing.assert_array_equal(margins(three, np.array([1, 2])), [2.0, -2.0])


def test_margins_that_other_training_texts_leave_as_they_are_add_least():
    ahead = np.random.default_rng(0).standard_normal(60)
    assert training_factor(scores_of([ahead, ahead]), Y, GROUPS, 5) == pytest.approx(LEAST)


def test_margins_that_are_all_of_training_add_what_the_bootstrap_sees_once_more():
    rng = np.random.default_rng(0)
    common = rng.standard_normal((400, 60))
    # Of training: of the variance 1 two repeats share all but a fifth.
    ahead = np.sqrt(0.8) * common[:, None] + np.sqrt(0.2) * rng.standard_normal((400, 2, 60))
    factors = [training_factor(scores_of(each), Y, GROUPS, 5) for each in ahead]
    # The sign of a normal number has the share 2 / pi of its variance in common with it.
    assert np.mean(np.square(factors)) == pytest.approx(LEAST**2 + 2 / np.pi, abs=0.06)
    assert np.max(factors) <= np.sqrt(2.08)
    # One repeat cannot tell, and takes the same.
    alone = [training_factor(scores_of(each[:1]), Y, GROUPS, 5) for each in ahead]
    assert np.mean(np.square(alone)) == pytest.approx(LEAST**2 + 2 / np.pi, abs=0.06)
    # With further training texts, which are not tested, the tested ones have only their share.
    tenth = [training_factor(scores_of(each[:1]), Y, GROUPS, 5, 0.1) for each in ahead]
    np.testing.assert_allclose(np.square(tenth) - 1.08, 0.1 * (np.square(alone) - 1.08))


def test_right_answers_that_do_not_go_with_their_margins_add_least():
    """All are right, by whatever margin."""
    ahead = np.random.default_rng(0).uniform(1, 2, (2, 60))
    assert training_factor(scores_of(ahead), Y, GROUPS, 5) == pytest.approx(LEAST)


def test_layers_are_judged_one_by_one_and_groups_as_wholes():
    ahead = np.random.default_rng(1).standard_normal((3, 2, 60))
    scores = np.stack([scores_of(each) for each in ahead])
    np.testing.assert_allclose(
        training_factor(scores, Y, GROUPS, 5), [training_factor(each, Y, GROUPS, 5) for each in scores]
    )
    # Three copies of every text are no more than the texts.
    tripled = np.repeat(scores, 3, axis=-2)
    np.testing.assert_allclose(
        training_factor(tripled, np.repeat(Y, 3), np.repeat(GROUPS, 3), 5), training_factor(scores, Y, GROUPS, 5)
    )
