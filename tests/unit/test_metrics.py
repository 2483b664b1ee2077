"""Every metric on cases whose answer is known: identity, rotation, white noise, known rank and dimension."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.core import registry
from layeratlas.metrics import LensReadout, Metric, Passage, SetMetric
from layeratlas.metrics._kernels import cka_map
from layeratlas.metrics.lens import settle_depth
from layeratlas.metrics.views import infonce, lidar

RNG = np.random.default_rng(0)
TOKENS, WIDTH = 120, 240


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rotation(width, seed=1):
    return np.linalg.qr(noise(width, width, seed=seed).astype(float))[0]


def of(name, states=None, **parts):
    states = noise(2, TOKENS, WIDTH) if states is None else np.asarray(states, np.float32)
    return registry.get("metrics", name).measure(Passage(states, **parts))


def attention_of(rows):
    """One layer and one head whose rows beyond the first position are `rows` (T, T), the rest on the first."""
    size = len(rows)
    maps = np.zeros((1, 1, size + 1, size + 1), np.float32)
    maps[0, 0, 1:, 1:] = rows
    maps[0, 0, :, 0] = 1 - maps[0, 0].sum(-1)
    return maps


def uniform(size):
    return np.tril(np.ones((size, size))) / np.arange(1, size + 1)[:, None]


def test_every_metric_gives_what_its_signals_promise():
    maps = np.stack([attention_of(0.7 * uniform(30))[0]] * 3)
    lens = LensReadout(kl=abs(noise(4, 5)), entropy=abs(noise(4, 5)), top=np.zeros((4, 5), np.int64))
    passage = Passage(noise(4, 30, 16), maps, lens)
    names = set()
    for name in registry.names("metrics"):
        metric = registry.get("metrics", name)
        assert metric.summary
        assert isinstance(metric, Metric | SetMetric)
        found = metric.measure(passage) if isinstance(metric, Metric) else metric.measure(noise(12, 3, 4, 16))
        assert set(found) == {s.name for s in metric.signals}
        for signal in metric.signals:
            assert found[signal.name].shape == ((4,) if signal.axis == "point" else (3,))
            assert (found[signal.name] >= signal.bounds[0] - 1e-6).all()
            assert (found[signal.name] <= signal.bounds[1] + 1e-6).all()
            assert signal.name not in names
            names.add(signal.name)


def test_uniform_attention_has_distance_and_entropy_one_whatever_the_sink_takes():
    for kept in (1.0, 0.2):
        found = of("attention", noise(2, 40, 8), attention=attention_of(kept * uniform(40)))
        assert found["attention_distance"][0] == pytest.approx(1)
        assert found["attention_entropy"][0] == pytest.approx(1)


def test_attention_to_oneself_is_near_and_narrow_and_to_the_far_end_is_far():
    own = of("attention", noise(2, 40, 8), attention=attention_of(np.eye(40)))
    assert own["attention_distance"][0] == pytest.approx(0, abs=1e-6)
    assert own["attention_entropy"][0] == pytest.approx(0, abs=1e-6)
    first = np.zeros((40, 40))
    first[:, 0] = 1
    assert of("attention", noise(2, 40, 8), attention=attention_of(first))["attention_distance"][0] == pytest.approx(2)


def test_attention_on_the_first_position_alone_has_no_distance():
    found = of("attention", noise(2, 40, 8), attention=attention_of(np.zeros((40, 40))))
    assert np.isnan(found["attention_distance"][0])


def test_white_noise_has_the_entropy_of_random_states():
    # Page (1993): a random state of m x n dimensions has entropy log m - m / 2n.
    found = of("spectrum")["prompt_entropy"][0] * np.log(TOKENS)
    assert found == pytest.approx(np.log(TOKENS) - TOKENS / (2 * WIDTH), abs=0.02)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_known_rank_is_the_effective_rank(rank):
    # Opposite pairs along each axis: centred, of one length, and spread evenly over `rank` directions.
    axes = np.eye(WIDTH)[:rank]
    states = np.tile(np.concatenate([axes, -axes]), (6, 1))
    assert of("spectrum", states[None])["effective_rank"][0] == pytest.approx(rank, rel=1e-6)


def test_uneven_directions_have_the_effective_rank_of_their_shares():
    # Opposite pairs along four axes: the eigenvalues are the shares of the axes, 1/2, 1/4, 1/8 and 1/8.
    axes = np.repeat(np.eye(6)[:4], [4, 2, 1, 1], axis=0)
    found = of("spectrum", np.concatenate([axes, -axes])[None])
    assert found["effective_rank"][0] == pytest.approx(2**1.75, rel=1e-6)
    assert found["prompt_entropy"][0] == pytest.approx(1.75 * np.log(2) / np.log(6), rel=1e-6)
    # The singular values, as Roy and Vetterli have it, are the roots of the shares: more even, a larger rank.
    roots = np.sqrt([1 / 2, 1 / 4, 1 / 8, 1 / 8])
    roots /= roots.sum()
    assert np.exp(-(roots * np.log(roots)).sum()) > 2**1.75 + 0.3


def test_a_straight_line_has_no_curvature_a_zigzag_has_all_of_it():
    steps = np.arange(20)[:, None] * noise(1, 16)
    assert of("curvature", steps[None])["curvature"][0] == pytest.approx(0, abs=1e-3)
    zigzag = (np.arange(20) % 2)[:, None] * noise(1, 16) + noise(1, 16, seed=2)
    assert of("curvature", zigzag[None])["curvature"][0] == pytest.approx(np.pi, abs=1e-2)


def test_the_two_curvatures_of_white_noise_are_their_null_values_and_differ():
    found = of("curvature", noise(1, 400, 400))
    assert found["curvature"][0] == pytest.approx(2 * np.pi / 3, abs=0.01)
    assert found["state_angle"][0] == pytest.approx(np.pi / 2, abs=0.01)


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_known_dimension_is_recovered_in_a_wide_space(dimension):
    flat = np.random.default_rng(dimension).uniform(size=(1500, dimension)) @ rotation(64)[:dimension]
    found = of("dimension", flat[None])["intrinsic_dimension"][0]
    assert found == pytest.approx(dimension, rel=0.12)


def test_repeated_points_count_once():
    states = noise(1, 200, 3)
    twice = np.concatenate([states, states[:, :60]], 1)
    name = "intrinsic_dimension"
    assert of("dimension", twice)[name][0] == pytest.approx(of("dimension", states)[name][0], rel=0.02)
    assert np.isnan(of("dimension", np.ones((1, 50, 8)))[name][0])


def test_norm_update_and_anisotropy_of_known_states():
    first = noise(1, 300, 400)
    unit = first / np.linalg.norm(first, axis=-1, keepdims=True)
    common = np.ones((1, 300, 400)) / 20
    found = of("size", np.concatenate([3 * unit, 6 * unit, unit + 10 * common, common]))
    assert found["norm"][:2] == pytest.approx([3, 6], rel=1e-5)
    assert found["update_size"][0] == pytest.approx(1, rel=1e-5)
    assert found["anisotropy"][0] == pytest.approx(0, abs=0.01)
    assert found["anisotropy"][2] > 0.95
    assert found["anisotropy"][3] == pytest.approx(1, abs=1e-5)


def test_cka_is_one_under_rotation_and_scale_and_zero_on_average_for_noise():
    x = noise(TOKENS, WIDTH)
    rotated = 7 * x @ rotation(WIDTH) + 3
    assert of("similarity", np.stack([x, x, rotated]))["cka_step"] == pytest.approx([0, 0], abs=1e-5)
    apart = [of("similarity", noise(2, 40, 200, seed=s))["cka_step"][0] for s in range(60)]
    assert abs(np.mean(apart) - 1) < 3 * np.std(apart) / np.sqrt(60)
    # The plain form is far from 0 where there are more dimensions than tokens: the correction is needed.
    grams = np.stack([g - g.mean(0) - g.mean(1)[:, None] + g.mean() for g in (x @ x.T for x in noise(2, 40, 200))])
    assert (grams[0] * grams[1]).sum() / np.linalg.norm(grams[0]) / np.linalg.norm(grams[1]) > 0.1


def test_hsic_is_the_estimator_of_song_et_al():
    x, y = noise(2, 12, 5).astype(float)

    def hsic(k, j):
        k, j = k - np.diag(np.diag(k)), j - np.diag(np.diag(j))
        n, one = len(k), np.ones(len(k))
        middle = one @ k @ one * (one @ j @ one) / (n - 1) / (n - 2)
        return (np.trace(k @ j) + middle - 2 / (n - 2) * one @ k @ j @ one) / (n * (n - 3))

    a, b = x @ x.T, y @ y.T
    want = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
    assert cka_map(np.stack([a, b]))[0, 1] == pytest.approx(want)


def test_information_is_zero_on_average_for_noise_and_kept_by_rotation():
    name = "matrix_information"
    apart = [of("mutual_information", noise(2, 40, 80, seed=s), seed=s)[name][0] for s in range(60)]
    assert abs(np.mean(apart)) < 3 * np.std(apart) / np.sqrt(60)
    x = noise(TOKENS, 20)
    same = of("mutual_information", np.stack([x, x, x @ rotation(20)]))[name]
    assert same[0] == pytest.approx(same[1], rel=1e-5)
    assert same[0] > 20 * np.std(apart)


def test_the_lens_settles_where_the_top_token_stays():
    top = np.array([[1, 5], [7, 2], [7, 5], [7, 3], [7, 3]])
    found = of("lens", lens=LensReadout(kl=np.ones((5, 2)), entropy=np.full((5, 2), 2.0), top=top))
    assert found["settled"].tolist() == [0, 0.5, 0.5, 1, 1]
    assert settle_depth(found["settled"]) == pytest.approx((1 / 4 + 3 / 4) / 2)
    assert found["lens_divergence"].tolist() == [1] * 5


def test_dataset_entropy_sees_how_many_directions_passages_take():
    axes = np.concatenate([np.eye(32)[:4], -np.eye(32)[:4]])
    few = np.tile(axes, (4, 1)).astype(np.float32)[:, None, None]
    found = registry.get("metrics", "dataset").measure(few)["dataset_entropy"]
    assert found == pytest.approx(np.log(4) / np.log(32))


def test_the_pooled_dimension_is_that_of_all_tokens():
    flat = (np.random.default_rng(0).uniform(size=(1500, 3)) @ rotation(64)[:3]).reshape(300, 5, 1, 64)
    found = registry.get("metrics", "pooled_dimension").measure(flat.astype(np.float32))["pooled_dimension"]
    assert found == pytest.approx(3, rel=0.1)


def test_views_that_agree_are_told_apart_and_views_of_nothing_are_not():
    centre = noise(40, 1, 1, 300, seed=4)
    close = registry.get("metrics", "views").measure(centre + 0.05 * noise(40, 4, 1, 300))
    apart = registry.get("metrics", "views").measure(noise(40, 4, 1, 300))
    assert close["infonce"] < 0.05
    assert close["dime"] > 5 * abs(apart["dime"])
    assert close["lidar"] > 35
    assert apart["infonce"] == pytest.approx(np.log(40), rel=0.15)


def test_infonce_of_collapsed_vectors_is_log_n():
    same = np.ones((20, 8), np.float32)
    assert infonce(same, same) == pytest.approx(np.log(20))


def test_lidar_is_that_of_the_full_covariances():
    views = noise(10, 3, 6) + 2 * noise(10, 1, 6, seed=9)
    x = views.astype(float) - views.reshape(-1, 6).mean(0)
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    means = x.mean(1)
    within = (x - means[:, None]).reshape(-1, 6)
    w = within.T @ within / 30 + 1e-4 * np.eye(6)
    b = np.cov(means.T, bias=True)
    values = np.linalg.eigvals(np.linalg.inv(w) @ b).real
    p = values / values.sum()
    assert lidar(views) == pytest.approx(np.exp(-(p * np.log(p)).sum()))


def test_no_metric_minds_a_rotation_of_the_stream():
    states = noise(3, 60, 32) + 0.5 * noise(3, 1, 32, seed=3)
    turned = states @ rotation(32)
    for name in ("spectrum", "curvature", "dimension", "size", "similarity", "mutual_information"):
        before, after = of(name, states), of(name, turned)
        for signal, values in before.items():
            assert after[signal] == pytest.approx(values, rel=1e-3, abs=1e-4)
