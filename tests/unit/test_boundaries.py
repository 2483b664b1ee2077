"""Boundaries: exact against all possible ones, planted steps, and how sure they are."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

import steps
from layeratlas.core.errors import DataError
from layeratlas.stats.jackknife import jackknife
from layeratlas.stats.segmentation import best_boundaries, cost_at, segment_costs, shortest_segment
from layeratlas.studies.segments.boundaries import find_boundaries, leave_one_out
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.first_version import candidates, steepest_falls
from layeratlas.studies.segments.signals import BlockSignals, fuse, robust_z
from layeratlas.studies.segments.surrogates import autocorrelation, surrogates
from layeratlas.studies.segments.text_kinds import kinds_differ


def cost_of(z, boundaries):
    ends = [0, *boundaries, z.shape[-1]]
    return sum(((z[:, a:b] - z[:, a:b].mean(1, keepdims=True)) ** 2).sum() for a, b in pairwise(ends))


def block_signals(values, groups=steps.GROUPS):
    return BlockSignals(values=values, names=[f"s{i}" for i in range(len(groups))], groups=list(groups))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_the_boundaries_are_the_best_of_all_possible_ones(k):
    z = np.random.default_rng(k).normal(size=(3, 14)).cumsum(1)
    possible = [c for c in combinations(range(15), k) if min(np.diff([0, *c, 14])) >= 2]
    best = min(possible, key=lambda c: cost_of(z, c))
    boundaries, cost = best_boundaries(segment_costs(z), k, 2)
    assert boundaries.tolist() == list(best)
    assert cost == pytest.approx(cost_of(z, best))


@pytest.mark.parametrize("layers", [12, 30, 48])
def test_the_boundaries_are_those_of_ruptures(layers):
    ruptures = pytest.importorskip("ruptures")
    for seed in range(5):
        z = np.random.default_rng(seed).normal(size=(4, layers)).cumsum(1)
        shortest = shortest_segment(layers)
        found = ruptures.Dynp(model="l2", min_size=shortest, jump=1).fit(z.T)
        for k in (1, 2, 3):
            assert best_boundaries(segment_costs(z), k, shortest)[0].tolist() == found.predict(n_bkps=k)[:-1]


def test_a_stack_is_segmented_as_each_alone():
    z = np.random.default_rng(0).normal(size=(5, 3, 20))
    boundaries, cost = best_boundaries(segment_costs(z), 2, 2)
    for i in range(5):
        alone, cost_alone = best_boundaries(segment_costs(z[i]), 2, 2)
        assert boundaries[i].tolist() == alone.tolist()
        assert cost[i] == pytest.approx(cost_alone)
    assert cost_at(segment_costs(z), boundaries) == pytest.approx(cost)


def test_z_is_robust_and_bounded():
    signals = np.arange(11.0)
    z = robust_z(signals)
    assert z == pytest.approx((signals - 5) / (1.4826 * 3))
    assert robust_z(np.append(np.arange(30.0), 1e6))[-1] == 3
    mostly = np.array([0.0] * 6 + [1, 1, 2, 2])
    assert robust_z(mostly)[-1] == pytest.approx(2 / mostly.std())
    assert (robust_z(np.full(9, 4.2)) == 0).all()


def test_no_group_counts_twice():
    one, other = np.random.default_rng(1).normal(size=(2, 20))
    alone = fuse(np.stack([one, other]), ["a", "b"])
    crowd = fuse(np.stack([one, one, one, other]), ["a", "a", "a", "b"])
    assert crowd == pytest.approx(alone)


@pytest.mark.parametrize("blocks", [1, 2, 5])
def test_a_model_with_too_few_blocks_is_refused(blocks):
    with pytest.raises(DataError, match=f"the model has {blocks} blocks; expected at least 6"):
        shortest_segment(blocks)


def test_planted_boundaries_are_recovered_with_their_interval():
    truth = np.array([9, 21])
    estimate = find_boundaries(block_signals(steps.passages(truth, 30, seed=3)), seed=1)
    assert abs(estimate.boundaries - truth).max() <= 1
    assert (estimate.lo <= estimate.mode).all()
    assert (estimate.mode <= estimate.hi).all()
    assert (estimate.hi - estimate.lo).max() <= 2
    assert estimate.together[0, 5] > 0.9
    assert estimate.together[0, 25] < 0.1
    assert np.diag(estimate.together) == pytest.approx(1)


def test_boundaries_of_noise_are_uncertain():
    values = np.random.default_rng(0).normal(size=(40, len(steps.GROUPS), 30))
    estimate = find_boundaries(block_signals(values))
    assert (estimate.hi - estimate.lo).max() > 5
    assert estimate.share.max() < 0.5


def test_leaving_the_only_stepped_signal_out_moves_the_boundaries():
    values = np.random.default_rng(0).normal(size=(30, 3, 30)) * 0.02 + np.sin(np.arange(30.0))
    values[:, 0] = 40.0 * ((np.arange(30) >= 10).astype(float) + (np.arange(30) >= 20))
    moved = leave_one_out(block_signals(values, ["a", "b", "c"]))
    assert moved["s1"].tolist() == moved["s2"].tolist() == [10, 20]
    assert moved["s0"].tolist() != [10, 20]
    assert leave_one_out(block_signals(values[:, :1], ["a"])) == {}


def test_the_rule_of_the_first_version_takes_the_steepest_falls():
    information = np.ones(30)
    information[8:] -= 1.0
    information[19:] -= 0.8
    assert steepest_falls(information).tolist() == candidates(information).tolist() == [8, 19]
    # A steady fall has two boundaries too, though nothing passes that version's own threshold.
    steady = np.arange(30.0, 0, -1)
    assert np.diff(steepest_falls(steady)) >= shortest_segment(30)
    assert len(candidates(steady)) == 0


def test_kinds_with_other_boundaries_differ_and_shuffled_kinds_do_not():
    first = np.arange(40) < 20
    values = steps.passages(np.array([9, 21]), 30, count=40, seed=2, noise=0.3)
    assert kinds_differ(block_signals(values), first, 99, 0) > 0.05
    values[first] = steps.passages(np.array([5, 16]), 30, count=20, seed=2, noise=0.3)
    assert kinds_differ(block_signals(values), first, 99, 0) <= 0.05


def test_surrogates_keep_trend_size_and_autocorrelation_and_lose_the_steps():
    signal = steps.signals("steps", 32, np.random.default_rng(0), noise=0.2)
    made = surrogates(signal, 100, seed=0)
    assert made.shape == (100, *signal.shape)
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, 32), 4))[0]
    rest, own = made - made @ basis @ basis.T, signal - signal @ basis @ basis.T
    assert made - rest == pytest.approx(np.broadcast_to(signal - own, made.shape))
    assert np.linalg.norm(rest, axis=-1) == pytest.approx(np.broadcast_to(np.linalg.norm(own, axis=-1), (100, 7)))
    assert abs(autocorrelation(rest) - autocorrelation(own)).max() < 0.01
    # What is left after the trend has nothing to do with where the steps are.
    assert abs((rest * own).sum(-1) / (own**2).sum(-1)).mean() < 0.5
    assert np.array_equal(made, surrogates(signal, 100, seed=0))
    assert not np.array_equal(made, surrogates(signal, 100, seed=1))


def test_signals_that_move_together_have_surrogates_that_do():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 60))
    made = surrogates(np.stack([one, one + 0.1 * random.normal(size=60), other]), 50, seed=0)
    together = np.array([np.corrcoef(part) for part in made])
    assert together[:, 0, 1].min() > 0.9
    assert abs(together[:, 0, 2].mean() - np.corrcoef(one, other)[0, 1]) < 0.15


@pytest.mark.parametrize("layers", [6, 8])
def test_so_few_layers_that_all_directions_alternate_have_surrogates(layers):
    signals = np.random.default_rng(0).normal(size=(7, layers)).cumsum(1)
    made = surrogates(signals, 20, seed=0)
    assert np.isfinite(made).all()
    assert 1 / 21 <= existence_test(signals, steps.GROUPS, count=20).p <= 1


def test_constant_signals_stay_constant():
    signals = np.stack([np.full(12, 3.0), np.arange(12.0)])
    assert np.isfinite(surrogates(signals, 9, seed=0)).all()
    assert surrogates(signals, 9, seed=0)[:, 0] == pytest.approx(3)


def judged(kind, count):
    random = np.random.default_rng(5)
    noise = 0.2 if kind == "steps" else 0.05
    return [
        existence_test(steps.signals(kind, 24, random, noise), steps.GROUPS, seed=s, count=99) for s in range(count)
    ]


def test_smooth_change_and_noise_are_rejected_about_as_often_as_the_level_says():
    """A small part of what `tests/truth/test_existence.py` repeats kind by kind."""
    found = [test for kind in ("white", "ar 0.6", "ramp", "hump") for test in judged(kind, 25)]
    # The central 99 % of a share of 0.05 in 100 trials.
    assert np.mean([test.p <= 0.05 for test in found]) <= 0.11
    assert 0.4 < np.mean([test.p for test in found]) < 0.6


def test_steps_exist():
    found = judged("steps", 12)
    assert all(test.p <= 0.05 for test in found)
    assert all(test.curve[0] == 1 and (np.diff(test.curve) <= 1e-12).all() for test in found)


def test_what_only_looks_like_two_boundaries_is_none():
    random = np.random.default_rng(6)
    for kind, noise, passed in (("hyperbola", 0.01, "smooth_p"), ("one", 0.2, "unclipped_p")):
        found = [
            existence_test(steps.signals(kind, 30, random, noise), steps.GROUPS, seed=s, count=99) for s in range(10)
        ]
        # The first test alone is passed by each, and one of the other two says no.
        assert np.mean([test.smooth_p <= 0.05 and getattr(test, passed) <= 0.05 for test in found]) >= 0.8
        assert np.mean([test.p <= 0.05 for test in found]) <= 0.3
    assert all(abs(test.first - 10) <= 1 for test in found)


def test_layers_in_random_order_are_the_second_null():
    white = existence_test(steps.signals("white", 30, np.random.default_rng(2)), steps.GROUPS)
    ramp = existence_test(steps.signals("ramp", 30, np.random.default_rng(2)), steps.GROUPS)
    assert white.shuffled_p > 0.05
    assert ramp.shuffled_p <= 0.01


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=200)
    value, lo, hi = jackknife(lambda rows: x[rows].mean(keepdims=True), 200, parts=200)
    assert value[0] == pytest.approx(x.mean())
    assert (hi - lo)[0] / 2 == pytest.approx(1.972 * x.std(ddof=1) / np.sqrt(200), rel=1e-3)
    assert np.isnan(jackknife(lambda rows: x[rows].mean(keepdims=True), 3)[1]).all()
