"""Boundaries: exact against all possible ones, planted steps, and how sure they are."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from layeratlas.core.errors import DataError
from layeratlas.stats.jackknife import jackknife
from layeratlas.stats.segmentation import best_boundaries, cost_at, segment_costs, shortest_segment, without_ends
from layeratlas.studies.segments.boundaries import find_boundaries, leave_one_out, resampled, two_boundaries
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.first_version import candidates, steepest_falls
from layeratlas.studies.segments.sharpness import sharpness, sharpness_intervals
from layeratlas.studies.segments.signals import BlockSignals, fuse, robust_z
from layeratlas.studies.segments.surrogates import surrogates
from layeratlas.studies.segments.text_kinds import kinds_test
from layeratlas.validation import shapes


def cost_of(z, boundaries):
    ends = [0, *boundaries, z.shape[-1]]
    return sum(((z[:, a:b] - z[:, a:b].mean(1, keepdims=True)) ** 2).sum() for a, b in pairwise(ends))


def block_signals(values, groups=shapes.GROUPS):
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
    estimate = find_boundaries(block_signals(shapes.passages(truth, 30, seed=3)), seed=1)
    assert abs(estimate.boundaries - truth).max() <= 1
    assert (estimate.lo <= estimate.mode).all()
    assert (estimate.mode <= estimate.hi).all()
    assert (estimate.hi - estimate.lo).max() <= 2
    assert estimate.together[0, 5] > 0.9
    assert estimate.together[0, 25] < 0.1
    assert np.diag(estimate.together) == pytest.approx(1)


def test_boundaries_of_noise_are_uncertain():
    values = np.random.default_rng(0).normal(size=(40, len(shapes.GROUPS), 30))
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
    values = shapes.passages(np.array([9, 21]), 30, count=40, seed=2, noise=0.3)
    same = kinds_test(block_signals(values), first, 99, 0)
    assert same.p > 0.05
    assert same.loss <= same.seen
    values[first] = shapes.passages(np.array([5, 16]), 30, count=20, seed=2, noise=0.3)
    apart = kinds_test(block_signals(values), first, 99, 0)
    assert apart.p <= 0.05
    assert apart.loss > apart.seen


def autocorrelation(residuals):
    """The lag-1 autocorrelation (...) of residuals (..., L): sum x_l x_l+1 / sum x_l^2."""
    return (residuals[..., 1:] * residuals[..., :-1]).sum(-1) / (residuals**2).sum(-1)


def test_surrogates_keep_trend_size_and_autocorrelation_and_lose_the_steps():
    signal = shapes.signals("steps", 32, np.random.default_rng(0), noise=0.2)
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
    assert 1 / 21 <= existence_test(signals, shapes.GROUPS, count=20).p <= 1


def test_constant_signals_stay_constant():
    signals = np.stack([np.full(12, 3.0), np.arange(12.0)])
    assert np.isfinite(surrogates(signals, 9, seed=0)).all()
    assert surrogates(signals, 9, seed=0)[:, 0] == pytest.approx(3)


def test_a_step_is_sharp_and_one_layer_wide_and_a_ramp_is_neither():
    signals = np.repeat([[0.0, 1.0, 3.0]], 10, axis=1) + 0.01 * np.random.default_rng(0).normal(size=(3, 30))
    for sharp, boundary in zip(sharpness(signals, [10, 20]), (10, 20), strict=True):
        assert (sharp.boundary, sharp.share) == (boundary, pytest.approx(1, abs=0.1))
        assert sharp.width == pytest.approx(1, abs=0.1)
        assert sharp.p <= 0.001
        assert sharp.seen < 1
    ramp = np.linspace(0, 1, 30) + 0.0001 * np.random.default_rng(1).normal(size=(3, 30))
    for sharp in sharpness(ramp, [10, 20]):
        assert sharp.share == pytest.approx(0, abs=0.05)
        # From the mean of one segment of ten blocks to that of the next.
        assert sharp.width == pytest.approx(10, abs=1)
        assert sharp.smooth_p <= 0.001


def test_the_sharpness_of_a_boundary_has_an_interval_over_passages():
    values = shapes.passages(np.array([9, 21]), 30, seed=3)
    mean, draws = values.mean(0), resampled(values, 100, 0)
    for interval, sharp in zip(sharpness_intervals(mean, draws, [9, 21], 30), sharpness(mean, [9, 21]), strict=True):
        assert interval.share[0] < sharp.share < interval.share[1]
        assert 1 <= interval.width[0] <= sharp.width <= interval.width[1] < 2


def test_a_jump_of_the_last_block_is_no_boundary_and_hides_none():
    signals = shapes.signals("steps", 16, np.random.default_rng(3), 0.1, jump=-1)
    boundaries, _ = two_boundaries(signals, shapes.GROUPS)
    assert boundaries.tolist() == [round(0.3 * 16), 11]
    # So few blocks that none can be spared.
    assert without_ends(np.zeros((2, 7))).shape == (2, 7)
    assert without_ends(np.zeros((2, 8))).shape == (2, 6)


def test_steps_exist():
    random = np.random.default_rng(5)
    for seed in range(5):
        test = existence_test(shapes.signals("steps", 24, random, 0.2), shapes.GROUPS, seed, count=99)
        assert test.p <= 0.05
        assert test.curve[0] == 1
        assert (np.diff(test.curve) <= 1e-12).all()


def test_one_step_is_found_as_the_first_and_its_second_is_not():
    random = np.random.default_rng(6)
    tests = [existence_test(shapes.signals("one", 30, random, 0.2), shapes.GROUPS, seed, 99) for seed in range(8)]
    assert all(abs(test.first - 10) <= 1 for test in tests)
    assert np.mean([test.second_p <= 0.05 for test in tests]) <= 0.3
    assert np.mean([test.p <= 0.05 for test in tests]) <= 0.15


def test_layers_in_random_order_are_the_second_null():
    white = existence_test(shapes.signals("white", 30, np.random.default_rng(2)), shapes.GROUPS)
    ramp = existence_test(shapes.signals("ramp", 30, np.random.default_rng(2)), shapes.GROUPS)
    assert white.shuffled_p > 0.05
    assert ramp.shuffled_p <= 0.01


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=200)
    value, lo, hi = jackknife(lambda rows: x[rows].mean(keepdims=True), 200, parts=200)
    assert value[0] == pytest.approx(x.mean())
    assert (hi - lo)[0] / 2 == pytest.approx(1.972 * x.std(ddof=1) / np.sqrt(200), rel=1e-3)
    assert np.isnan(jackknife(lambda rows: x[rows].mean(keepdims=True), 3)[1]).all()
