"""Coordination: noise and a shared hump give the published statistics but no verdict, which shared jitter does."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.studies.hierarchy.findings.coordination import coordination_statistics, lag_one
from layeratlas.studies.hierarchy.findings.second_peaks import double_peak
from layeratlas.studies.hierarchy.profiles import smooth, z_scores

CURVES = 6


def hump(layers: int, height: float = 0.3) -> np.ndarray:
    depth = np.arange(layers) / (layers - 1)
    return height * np.exp(-0.5 * ((depth - 0.4) / 0.2) ** 2)


def simulate(rng, layers, shared=0.0, height=0.0, noise=0.02, halves=20):
    """Return estimates and halves of curves: hump + shared jitter + own noise, the halves with independent noise."""
    truth = hump(layers, height) + shared * rng.standard_normal(layers)
    a, b = (truth + noise * np.sqrt(2) * rng.standard_normal((CURVES, layers)) for _ in range(2))
    z = z_scores((a + b) / 2, "attn")
    return z, np.stack([z_scores(a, "attn")] * halves), np.stack([z_scores(b, "attn")] * halves)


@pytest.mark.parametrize("layers", [28, 80])
def test_independent_noise_has_a_lag_of_minus_a_half_and_no_consistency(layers):
    rng = np.random.default_rng(0)
    lags, means = [], []
    for _ in range(200):
        z = z_scores(rng.standard_normal((CURVES, layers)), "attn")
        lags.append(lag_one(np.diff(z, axis=-1)).mean())
        corr = np.corrcoef(np.diff(z, axis=-1))
        means.append(corr[np.triu_indices(CURVES, 1)].mean())
    assert np.mean(lags) == pytest.approx(-0.48, abs=0.02)  # tabled: -0.47 at 28 layers, -0.49 at 80
    assert abs(np.mean(means)) < 0.01
    if layers == 28:
        assert np.percentile(lags, [2.5, 97.5]) == pytest.approx([-0.57, -0.36], abs=0.03)


def test_smoothing_makes_noise_persist():
    rng = np.random.default_rng(0)
    z = z_scores(smooth(rng.standard_normal((600, 80))), "attn")
    assert lag_one(np.diff(z, axis=-1)).mean() == pytest.approx(0.02, abs=0.03)


def test_a_shared_hump_alone_gives_the_published_consistency():
    rng = np.random.default_rng(0)
    means = []
    for _ in range(200):
        z = z_scores(hump(28) + 0.03 * rng.standard_normal((CURVES, 28)), "attn")
        means.append(np.corrcoef(np.diff(z, axis=-1))[np.triu_indices(CURVES, 1)].mean())
    assert np.mean(means) == pytest.approx(0.24, abs=0.06)


def called(rng, **how) -> bool:
    return coordination_statistics(*simulate(rng, **how)).verdict == "supported"


@pytest.mark.parametrize("layers", [28, 80])
@pytest.mark.parametrize("height", [0.0, 0.3])
def test_noise_and_a_shared_hump_are_not_called_coordination(layers, height):
    rng = np.random.default_rng(1)
    calls = sum(called(rng, layers=layers, height=height) for _ in range(60))
    assert calls <= 7  # 5 % of 60 is 3; 7 is its 97.5 % bound


@pytest.mark.parametrize("layers", [28, 80])
def test_a_shared_jitter_is_found_under_a_hump(layers):
    rng = np.random.default_rng(2)
    calls = sum(called(rng, layers=layers, shared=0.02, height=0.3) for _ in range(20))
    assert calls >= 18


def test_two_peaks_are_seen_and_one_is_not():
    layers = np.arange(80)
    bumps = [np.exp(-0.5 * ((layers - at) / 3) ** 2) for at in (14, 29)]
    two = double_peak(0.6 + 0.2 * (bumps[0] + 0.6 * bumps[1]), "attn")
    assert two is not None
    assert (abs(two.first - 14), abs(two.second - 29)) <= (1, 1)
    assert 18 <= two.trough <= 24
    assert double_peak(0.6 + 0.2 * bumps[0], "attn") is None
    late = np.exp(-0.5 * ((layers - 70) / 3) ** 2)
    assert double_peak(0.6 + 0.2 * (bumps[0] + late), "attn") is None  # beyond 60 % of depth
