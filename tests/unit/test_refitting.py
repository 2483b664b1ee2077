"""What training adds to the spread of a cross-validated accuracy: nothing, or as much again and a quarter."""

from __future__ import annotations

import numpy as np
import pytest

import planting
from layeratlas.probes import make_design
from layeratlas.probes._refitting import exchanged
from layeratlas.stats.refitting import margins, training_factor

# The most that is added, and the share of the training texts that two repeats exchange.
MOST, FIFTH = 1.268, 0.2
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


def test_margins_that_other_training_texts_leave_as_they_are_add_nothing():
    ahead = np.random.default_rng(0).standard_normal(60)
    assert training_factor(scores_of([ahead, ahead]), Y, GROUPS, FIFTH) == pytest.approx(1)


def added(share, repeats=2, tested=1.0):
    """What 400 runs add, with a share of the margins' variance from training: two repeats differ in a fifth of it."""
    rng = np.random.default_rng(0)
    common = np.sqrt(1 - share * FIFTH) * rng.standard_normal((400, 60))
    ahead = common[:, None] + np.sqrt(share * FIFTH) * rng.standard_normal((400, repeats, 60))
    return np.mean([training_factor(scores_of(each), Y, GROUPS, FIFTH, tested) ** 2 - 1 for each in ahead])


def with_signs(share):
    """The share of the variance of two repeats' mean sign of normal margins that goes with their mean margin."""
    alike = 1 - share * FIFTH
    return (1 + alike) / (np.pi / 2 + np.arcsin(alike))


def test_pairs_of_texts_are_added_once_more_and_their_other_part_in_both_roles():
    for share in (0.1, 0.3):
        pairs, own = share, (1 - share) * ((1 + share) ** 2 - 1)
        assert added(share) == pytest.approx(with_signs(share) * (pairs + own), abs=0.05)
    # Nothing adds more than a share of 0.72, and larger ones are measured too large.
    assert added(1.0) == pytest.approx(with_signs(1) * MOST, abs=0.04)
    # One repeat cannot tell, and takes the most.
    assert added(0.1, repeats=1) == pytest.approx(with_signs(0) * MOST, abs=0.04)
    # With further training texts, which are not tested, the tested ones have only their share.
    assert added(1.0, repeats=1, tested=0.1) == pytest.approx(0.1 * added(1.0, repeats=1), rel=0.05)


def test_two_repeats_with_the_same_folds_tell_as_little_as_one():
    ahead = np.random.default_rng(0).standard_normal(60)
    once = training_factor(scores_of([ahead]), Y, GROUPS, FIFTH)
    assert training_factor(scores_of([ahead, ahead]), Y, GROUPS, 0.0) == pytest.approx(once)
    assert once > 1.2


def test_right_answers_that_do_not_go_with_their_margins_add_nothing():
    """All are right, by whatever margin."""
    ahead = np.random.default_rng(0).uniform(1, 2, (2, 60))
    assert training_factor(scores_of(ahead), Y, GROUPS, FIFTH) == pytest.approx(1)


def test_by_how_much_one_class_is_ahead_of_another_adds_nothing():
    """One class is always right and one always wrong, so that all of the variance is between them."""
    ahead = 3 * SIGN + 0.1 * np.random.default_rng(0).standard_normal((2, 60))
    assert training_factor(scores_of(ahead), Y, GROUPS, FIFTH) == pytest.approx(1, abs=0.01)


def test_layers_are_judged_one_by_one_and_groups_as_wholes():
    ahead = np.random.default_rng(1).standard_normal((3, 2, 60))
    scores = np.stack([scores_of(each) for each in ahead])
    np.testing.assert_allclose(
        training_factor(scores, Y, GROUPS, FIFTH), [training_factor(each, Y, GROUPS, FIFTH) for each in scores]
    )
    # Three copies of every text are no more than the texts.
    tripled = np.repeat(scores, 3, axis=-2)
    np.testing.assert_allclose(
        training_factor(tripled, np.repeat(Y, 3), np.repeat(GROUPS, 3), FIFTH),
        training_factor(scores, Y, GROUPS, FIFTH),
    )


def test_what_two_repeats_exchange_is_counted_over_their_folds():
    """A probe lacks the texts of its fold: one repeat's, less those of the same text's fold in the other repeat."""
    spec = planting.LIGHT.model_copy(update={"repeats": 2})
    for texts in (8, 26, 200):
        design = make_design(planting.planted_data(texts), spec, 0)
        fold = {(f.repeat, i): f for f in design.folds for i in f.test}
        pairs = [(set(fold[0, i].train), set(fold[1, i].train)) for i in range(texts)]
        shares = [(len(a - b) + len(b - a)) / (len(a) + len(b)) for a, b in pairs]
        assert exchanged(design) == pytest.approx(np.mean(shares))
    assert exchanged(design) == pytest.approx(0.2, abs=0.01)  # of many texts: one of the number of folds
    assert exchanged(make_design(planting.planted_data(26), spec.model_copy(update={"repeats": 1}), 0)) == 0
