"""Bounds of mutual information: of a channel whose information is known, and of nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from layeratlas.stats.information import calibrated, information_bound
from layeratlas.studies.segments.information.decoding import log_likelihoods, parts
from layeratlas.studies.segments.information.findings import Bounds, contrast, information_findings
from layeratlas.studies.segments.information.stage import CLASSES, TARGETS, coded

PASSAGES, PLACES = 50, 16
SHARES = np.r_[0.4, np.full(CLASSES - 1, 0.6 / (CLASSES - 1))]
OWN = np.repeat(np.arange(PASSAGES), PLACES)


def bound(x, codes, passages=OWN):
    """The bound in nats for rows x (n, d) and their classes (n,)."""
    likelihood = log_likelihoods(x, codes[None], passages, CLASSES)[0]
    own = (passages[:, None] == np.arange(passages.max() + 1)).astype(float)
    counts = own.T @ (codes[:, None] == np.arange(CLASSES))
    return float(information_bound((likelihood @ own)[None], counts, np.ones((1, own.shape[1])))[0, 0])


def channel(distance, seed=0, width=40):
    """Rows (n, width) of Gaussian noise about a place per class, and the classes."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(CLASSES, len(OWN), p=SHARES)
    places = distance * rng.standard_normal((CLASSES, width))
    return places[codes] + rng.standard_normal((len(OWN), width)), codes, places


def exact_information(places, seed=1, draws=20_000):
    """The mutual information of such a channel, by the mean of its own log-likelihood ratio."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(CLASSES, draws, p=SHARES)
    x = places[codes] + rng.standard_normal((draws, places.shape[1]))
    logs = -0.5 * ((x[:, None] - places) ** 2).sum(-1) + np.log(SHARES)
    top = logs.max(1)
    whole = top + np.log(np.exp(logs - top[:, None]).sum(1))
    return float(np.mean(logs[np.arange(draws), codes] - np.log(SHARES[codes]) - whole))


@pytest.mark.parametrize("distance", [0.7, 1.4])
def test_the_bound_is_below_what_a_noisy_channel_carries_and_grows_with_it(distance):
    x, codes, places = channel(distance, width=8)
    truth = exact_information(places)
    assert 0.5 * truth < bound(x, codes) < truth + 0.03


def test_a_class_that_is_plain_to_see_gives_the_whole_entropy():
    x, codes, _ = channel(3.0)
    counts = np.bincount(codes, minlength=CLASSES) / len(codes)
    entropy = -(counts[counts > 0] * np.log(counts[counts > 0])).sum()
    assert bound(x, codes) == pytest.approx(entropy, abs=0.02)


def test_nothing_is_decoded_of_classes_that_have_nothing_to_do_with_the_rows():
    """However many dimensions: 300 of them, with 480 rows to fit on."""
    x, codes, _ = channel(1.0, width=300)
    assert bound(x, np.random.default_rng(5).permutation(codes)) < 0.02


def test_what_all_rows_of_a_passage_share_is_no_information_about_others():
    """Negative control: a decoder that has seen other rows of the passage would seem to know its class."""
    rng = np.random.default_rng(3)
    x = np.repeat(5 * rng.standard_normal((PASSAGES, 40)), PLACES, 0) + 0.1 * rng.standard_normal((len(OWN), 40))
    codes = np.repeat(rng.integers(0, 4, PASSAGES), PLACES)
    assert bound(x, codes) < 0.05
    assert bound(x, codes, np.arange(len(OWN))) > 0.5


def test_every_row_is_decoded_once_by_a_decoder_that_saw_none_of_its_passage():
    decoded = []
    for split in parts(OWN):
        sets = [set(OWN[rows]) for rows in split]
        assert not sets[0] & sets[2]
        assert not sets[1] & sets[2]
        assert not sets[0] & sets[1]
        decoded += split.decoded.tolist()
    assert sorted(decoded) == list(range(len(OWN)))


def test_a_decoder_is_calibrated_on_other_rows_than_its_own():
    """Scores that say nothing are given no weight: what is left is the prior."""
    rng = np.random.default_rng(0)
    codes = rng.choice(CLASSES, 2000, p=SHARES)
    logs = calibrated(rng.standard_normal((2000, CLASSES)), SHARES, codes, 3 * np.eye(CLASSES))
    np.testing.assert_allclose(np.exp(logs).sum(1), 1.0)
    assert np.abs(np.exp(logs) - SHARES).max() < 0.1


def test_tokens_are_classed_by_how_common_they_are():
    ids = np.array([[7] * 30 + [5] * 20 + list(range(100, 130))])
    codes = coded(np.array([[7, 5, 129, 9999]]), ids)
    assert codes.tolist() == [[0, 1, CLASSES - 1, CLASSES - 1]]


def planted(rise: float, layers: int = 12, error: float = 0.02, seed: int = 0) -> Bounds:
    """Bounds that fall for the token itself and rise for all other targets by `rise` from first layer to last."""
    rng = np.random.default_rng(seed)
    sign = np.array([-1.0 if target == "token 0 before" else 1.0 for target in TARGETS])
    truth = 1.0 + rise * np.linspace(0, 1, layers + 1)[:, None] * sign
    estimate = truth + error * rng.standard_normal(truth.shape)
    draws = estimate + error * rng.standard_normal((400, *truth.shape))
    return Bounds(estimate=estimate, draws=draws, control=np.zeros_like(truth))


def test_a_planted_bottleneck_is_found_and_its_opposite_refuted():
    for rise, verdict in ((0.5, "supported"), (-0.5, "not supported")):
        found = information_findings(planted(rise), planted(0.0, seed=1), 24)
        assert {(finding.level, finding.verdict) for finding in found} == {
            (level, verdict) for level in ("input", "prediction", "far tokens")
        }


def test_what_random_weights_do_as_well_is_no_finding():
    found = information_findings(planted(0.5), planted(0.5, seed=1), 24)
    assert {finding.verdict for finding in found} == {"inconclusive"}


def test_what_cannot_be_decoded_anywhere_is_undecided():
    """However sure the difference of two bounds near 0 is."""
    nothing = planted(0.5, error=0.001)
    nothing = dataclasses.replace(nothing, estimate=nothing.estimate - 3, draws=nothing.draws - 3)
    found = information_findings(nothing, planted(0.0, error=0.001, seed=1), 24)
    assert {finding.verdict for finding in found} == {"inconclusive"}
    assert all("could have seen" in finding.statement for finding in found)


def test_a_fall_that_is_deeper_with_random_weights_is_told_as_what_training_keeps():
    """As in the default model: its own fall is no compression by training."""
    (input_, *_) = information_findings(planted(0.2), planted(0.6, seed=1), 24)
    assert input_.verdict == "not supported"
    assert input_.statement.startswith("Trained layers keep more of the token itself than those with random weights.")


def test_without_the_control_nothing_is_decided():
    found = information_findings(planted(0.5), None, 24)
    assert {finding.verdict for finding in found} == {"inconclusive"}
    assert all("could have seen" in finding.statement for finding in found)


def test_the_first_third_leaves_the_embeddings_out():
    values = np.zeros((1, 10, len(TARGETS)))
    values[0, 0] = 100.0
    values[0, 7:] = 1.0
    assert contrast(values, TARGETS[:1], 1) == pytest.approx([1.0])


@pytest.mark.truth
def test_noise_makes_a_finding_at_most_at_the_nominal_rate():
    """Holm over three at 5 %: more than 17 of 200 happen once in 100 times."""
    false = 0
    for seed in range(200):
        found = information_findings(planted(0.0, seed=2 * seed), planted(0.0, seed=2 * seed + 1), 24)
        false += any(finding.verdict != "inconclusive" for finding in found)
    assert false <= 17
