"""The signal-to-noise ratio of scores: planted ratios at any number of texts, and the order of levels by it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import planting
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes import make_design, ratio_of
from layeratlas.stats.curves import level_curve
from layeratlas.stats.emergence import emergence_depth, measure_emergence
from layeratlas.stats.signal_to_noise import HIGHEST, assumed_noise, ratio, training_noise, training_share, untrained
from layeratlas.studies.hierarchy.findings.compression import compression_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.validation.unequal import (
    DEEPER,
    EASY,
    HARD,
    Level,
    curve_of,
    order_of,
    simulated_level,
    simulated_scores,
)

ALL = np.ones((1, 4000))
STRONG = Level("item", 240, 1.2, 0.1)


def scores_of(true: float, noise: float, seed: int = 0, repeats: int = 2, folds: int = 5):
    """Return scores (1, repeats, n, 1) of two classes with a ratio `true` and training noise, and their targets (n, 1).

    Probes of two repeats share all but 1 / folds of their training texts, and so of the noise that these add.
    """
    rng = np.random.default_rng(seed)
    y = np.resize([-1.0, 1.0], ALL.shape[1])
    own, common = rng.standard_normal((2, len(y)))
    each = rng.standard_normal((repeats, len(y)))
    training = np.sqrt(noise) * (np.sqrt(1 - 1 / folds) * common + np.sqrt(1 / folds) * each)
    return (true**2 * y + true * own + training)[None, ..., None], y[:, None]


@pytest.mark.parametrize("true", [0.3, 1.0, 1.8])
@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_the_ratio_without_training_noise_is_the_planted_one_whatever_that_noise(true, noise):
    scores, targets = scores_of(true, noise)
    z, nu = ratio(scores, targets, ALL), training_share(scores, targets, ALL, 5)
    assert z[0, 0] == pytest.approx(true**2 / np.sqrt(true**2 + noise), abs=0.06)
    assert nu[0, 0] == pytest.approx(noise / (true**2 + noise), abs=0.07)
    assert untrained(z, np.array(noise))[0, 0] == pytest.approx(true**2, rel=0.1, abs=0.05)


@pytest.mark.parametrize("noise", [0.0, 0.5, 3.0])
def test_training_noise_is_that_of_the_layers_with_a_signal(noise):
    """A layer without one has all of its noise from training, which says nothing about its size."""
    layers = [scores_of(true, noise, seed)[0] for seed, true in enumerate((0.0, 0.0, 1.0, 1.8))]
    scores, targets = np.concatenate(layers), scores_of(1, 0)[1]
    z, nu = ratio(scores, targets, ALL), training_share(scores, targets, ALL, 5)
    assert training_noise(z, nu)[0, 0] == pytest.approx(noise, rel=0.2, abs=0.05)


def test_ratios_of_numbers_and_of_several_classes_are_those_of_their_signal():
    rng = np.random.default_rng(1)
    y = rng.standard_normal(4000)
    numbers = (2 * y + rng.standard_normal(4000))[None, None, :, None]
    assert ratio(numbers, y[:, None], ALL)[0, 0] == pytest.approx(2, rel=0.05)
    codes = np.resize(np.arange(4), 4000)
    targets = np.where(codes[:, None] == np.arange(4), 1.0, -1.0)
    target_spread = (targets - targets.mean(0)).std()
    several = targets + target_spread * rng.standard_normal(targets.shape)
    assert ratio(several[None, None], targets - targets.mean(0), ALL)[0, 0] == pytest.approx(1, rel=0.05)


def test_scores_that_say_nothing_have_no_signal():
    flat, targets = np.zeros((3, 2, 4000, 1)), scores_of(1, 0)[1]
    z, nu = ratio(flat, targets, ALL), training_share(flat, targets, ALL, 5)
    assert not z.any()
    assert not untrained(z, training_noise(z, nu)).any()


def planted(n: int, width: int, strength: list[float], spec: ProbeSpec = planting.LIGHT):
    data = planting.planted_data(n)
    return planting.planted_curve(data, strength, spec, width=width)


@pytest.mark.parametrize("n", [160, 640])
def test_probes_of_few_and_of_many_texts_show_the_same_signal(n):
    """Their accuracies differ by a tenth, most where the signal is weak: the control."""
    strength = [0.0, 0.6, 1.2, 1.8]
    curve = planted(n, 100, strength, planting.LIGHT.model_copy(update={"shuffles": 20}))
    assert curve.signal is not None
    within = 3 * curve.signal.draws.std(0) + 0.05
    assert (np.abs(curve.signal.estimate - np.square(strength)) < within).all()
    best = np.array([0.5, 0.73, 0.88, 0.96])
    assert (best - curve.estimate)[1] > (0.1 if n == 160 else 0.0)


def test_with_one_repeat_the_share_of_training_is_assumed_and_its_error_widens_the_interval():
    strength = (1.5 * np.linspace(0, 1, 9)).tolist()
    one, two = (
        planted(200, 60, strength, planting.LIGHT.model_copy(update={"shuffles": 20, "repeats": number}))
        for number in (1, 2)
    )
    assert one.signal is not None
    assert two.signal is not None
    assert np.ptp(two.signal.ends, 0) == pytest.approx(0)
    assert np.ptp(one.signal.ends, 0).max() > 0
    assert measure_emergence(one).moved > 0 == measure_emergence(two).moved
    lo, hi = measure_emergence(one).interval
    assert lo < emergence_depth(np.square(strength), one.depth) < hi


def test_an_assumed_share_holds_at_the_strongest_layer():
    z = np.array([0.1, 0.5, 1.2])
    s2 = untrained(z, assumed_noise(z, 0.5))
    assert s2[-1] == pytest.approx(z[-1] ** 2 / (1 - 0.5))


def test_the_size_of_a_folds_scores_is_no_noise():
    data = planting.planted_data(400)
    design = make_design(data, planting.LIGHT, 0)
    rng = np.random.default_rng(3)
    scores = np.tile((np.where(design.y == 1, 1.0, -1.0) + rng.standard_normal(400))[None, None, :, None], (1, 2, 1, 1))
    shrunk = scores.copy()
    for fold in design.folds[::2]:
        shrunk[:, fold.repeat, fold.test] /= 100
    even, uneven = (ratio_of(each, design, np.ones((1, 400)))[0] for each in (scores, shrunk))
    assert uneven == pytest.approx(even, rel=0.05)


def _by_their_own_size(scores: np.ndarray, design) -> np.ndarray:
    """Return scores divided by their size in each fold, whose texts differ between repeats."""
    even = scores.copy()
    for fold in design.folds:
        even[:, fold.repeat, fold.test] /= np.sqrt((even[:, fold.repeat, fold.test] ** 2).mean())
    return even


@pytest.mark.parametrize("strength", [0.3, 1.0, 2.0])
def test_which_texts_are_in_a_fold_is_no_noise_of_training(strength):
    """Scores are the same in both repeats, up to the sizes that penalties set."""
    data = planting.planted_data(400)
    design = replace(make_design(data, planting.LIGHT, 0), others=3600)
    rng = np.random.default_rng(4)
    y = np.where(design.y == 1, 1.0, -1.0)
    scores = np.tile((strength * y + rng.standard_normal(400))[None, None, :, None], (1, 2, 1, 1))
    targets, weights = (y - y.mean())[:, None], np.ones((1, 400))
    control = training_share(_by_their_own_size(scores, design), targets, weights, 5)[0, 0] * 10
    for fold in design.folds[::2]:
        scores[:, fold.repeat, fold.test] /= 100
    z, nu = ratio_of(scores, design, weights)
    assert nu is not None
    assert nu[0, 0] < 0.001
    assert control > 0.1
    assert z[0, 0] == pytest.approx(strength, abs=0.15)


def test_the_share_of_training_counts_texts_that_train_every_probe():
    """Scores are sums over the training texts; with all but the tested ones in common, repeats differ little."""
    others = 16000
    design = replace(make_design(planting.planted_data(2000), planting.LIGHT, 0), others=others)
    rng = np.random.default_rng(5)
    y = np.where(design.y == 1, 1.0, -1.0)
    of_texts, own = rng.standard_normal((2000, 2000)), rng.standard_normal(2000)
    of_others = np.sqrt(others) * rng.standard_normal(2000)
    scores = np.zeros((1, 2, 2000, 1))
    for fold in design.folds:
        of_training = of_texts[np.ix_(fold.test, fold.train)].sum(1) + of_others[fold.test]
        noise = of_training / np.sqrt(len(fold.train) + others) + own[fold.test]  # half of it from training
        scores[0, fold.repeat, fold.test, 0] = 0.5 * y[fold.test] + noise
    _, nu = ratio_of(scores, design, np.ones((1, 2000)))
    assert nu is not None
    assert nu[0, 0] == pytest.approx(0.5, rel=0.08)
    of_all_texts = (1 + others / 2000) / (1 + others / 1600)  # instead of the texts that train: the control
    assert nu[0, 0] * of_all_texts != pytest.approx(0.5, rel=0.08)


def test_what_is_read_perfectly_from_the_first_layer_on_emerges_there():
    """z grows without limit where labels are exact; accuracy says 1 at all layers."""
    z = np.linspace(4, 30, 31)
    depth = np.linspace(0, 1, 31)
    assert untrained(z, np.array(0.0)) == pytest.approx(np.full(31, HIGHEST**2))
    assert np.ptp(untrained(z, np.array(0.5))) == 0
    assert emergence_depth(untrained(z, np.array(0.5)), depth) == 0
    assert emergence_depth(z**2, depth) > 0.4  # without the limit


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_noise_of_training_is_limited_where_a_share_of_one_would_have_no_limit(share):
    """A share of one half, at all layers, is far below the limit: the control."""
    z, nu = np.array([[0.11, -0.1, 0.12]]), np.full((1, 3), share)
    own = (nu * z**2).sum() / max(((1 - nu) ** 2).sum(), 1e-12)
    assert training_noise(z, nu)[0, 0] == pytest.approx(min(own, 90 * 0.12**2))
    assert (own > 1e6) == (share == 1)
    assert np.abs(untrained(z, training_noise(z, nu))).max() < 11 * 0.12**2


def test_a_task_without_a_signal_leaves_the_depth_of_its_level():
    """Its noise of training is unknown, and unlimited it is so large that its draws are all that the level shows."""
    tasks = [
        curve_of(simulated_scores(level, seed), level, 10)
        for seed, level in ((10, STRONG), (110, STRONG), (210, STRONG._replace(strength=0.0)))
    ]
    strong, level = (measure_emergence(level_curve(part, 60)) for part in (tasks[:2], tasks))
    none = tasks[2].signal
    assert none is not None
    assert np.abs(none.draws).max() < 3  # 363,542 without a limit, and the level at depth 0.01
    assert level.estimate == pytest.approx(strong.estimate, abs=0.1)
    assert level.interval[0] < STRONG.depth < level.interval[1]


def test_a_strong_level_with_few_texts_emerges_at_the_depth_of_its_signal():
    """A limit of the signal itself cuts off its rise, since 180 texts of width 576 tell it roughly: the control."""
    strength = 3 * np.clip((np.linspace(0, 1, 11) - 0.1) / 0.6, 0, 1)
    curve = planted(180, 576, strength.tolist(), planting.LIGHT.model_copy(update={"shuffles": 20}))
    assert curve.signal is not None
    true = emergence_depth(strength**2, curve.depth)
    cut = replace(
        curve.signal,
        estimate=np.minimum(curve.signal.estimate, HIGHEST**2),
        draws=np.minimum(curve.signal.draws, HIGHEST**2),
    )
    assert measure_emergence(curve).estimate == pytest.approx(true, abs=0.1)
    assert measure_emergence(replace(curve, signal=cut)).interval[1] < true - 0.1


def test_a_level_has_the_mean_signal_of_its_tasks_if_all_have_one():
    curves = [planting.drawn_curve([0.5, 0.7, 0.9]) for _ in range(2)]
    with_signals = [
        replace(curve, signal=planting.drawn_curve(values))
        for curve, values in zip(curves, ([0.0, 1.0, 4.0], [0.0, 0.5, 1.0]), strict=True)
    ]
    mean = level_curve(with_signals, 100)
    assert mean.signal is not None
    assert mean.signal.estimate == pytest.approx([0, 0.75, 2.5])
    assert level_curve([with_signals[0], curves[1]], 100).signal is None


def test_levels_whose_signals_rise_alike_have_no_order_and_a_deeper_one_is_found():
    """In accuracies the level with fewer texts and a weaker signal seems to emerge deeper: the control."""
    easy, hard, deeper = (simulated_level(level, seed=200) for level in (EASY, HARD, DEEPER))
    assert order_of(easy, hard).verdict == "inconclusive"
    assert order_of(easy, deeper).verdict == "supported"
    assert order_of(*(replace(curve, signal=None) for curve in (easy, hard))).verdict == "supported"


def test_a_weaker_signal_at_the_same_depths_is_not_called_deeper():
    """By accuracies, which saturate, it is: the control."""
    rise = np.clip(np.linspace(0, 1.6, 31), 0, 1)
    curves = []
    for name, strength in (("item", 2.2), ("buried item", 0.8)):
        signal = (strength * rise) ** 2
        accuracy = 0.5 + 0.5 * np.tanh(0.85 * strength * rise)
        for task in ("all", name.replace("item", "animal").replace(" ", "_")):
            own = planting.drawn_curve(accuracy, level=name, task=task)
            curves.append(replace(own, signal=_noisy_signal(signal, name, task)))
    decoded = {peak.level: peak for peak in peak_findings(curves[::2], planting.PHRASING)}
    [finding] = compression_findings(curves, decoded, planting.PHRASING)
    [by_accuracy] = compression_findings([replace(c, signal=None) for c in curves], decoded, planting.PHRASING)
    assert finding.verdict == "inconclusive"
    assert by_accuracy.verdict == "supported"


def _noisy_signal(signal: np.ndarray, level: str, task: str):
    none = np.zeros((0, len(signal)))
    return planting.drawn_curve(signal, 0.02 * signal.max(), level, task=task, shuffles=none, chance=0.0)


def test_weights_without_texts_or_with_one_class_have_no_ratio():
    rng = np.random.default_rng(0)
    targets = np.resize([-1.0, 1.0], 40)[:, None]
    scores = targets + rng.standard_normal((3, 2, 40, 1))
    weights = np.stack([np.ones(40), np.zeros(40), (targets[:, 0] > 0).astype(float)])
    z, nu = ratio(scores, targets, weights), training_share(scores, targets, weights, 5)
    signal = untrained(z, training_noise(z, nu))
    assert np.isfinite(signal[0]).all()
    assert np.isnan(signal[1:]).all()  # as of an accuracy, the estimate stands for such draws
