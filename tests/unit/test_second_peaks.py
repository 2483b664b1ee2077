"""Second peaks and deep content, on curves whose shape and noise are known."""

from __future__ import annotations

import numpy as np
import pytest

import planting
from layeratlas.studies.hierarchy.compression import compression_findings
from layeratlas.studies.hierarchy.coordination import coordination_findings
from layeratlas.studies.hierarchy.profiles import second_peak_findings

LAYERS = 40


def bumps(second: float) -> np.ndarray:
    at = np.arange(LAYERS)
    first, other = (np.exp(-0.5 * ((at - place) / 2) ** 2) for place in (7, 16))
    return 0.55 + 0.3 * np.maximum(first, second * other)


def noisy(truth: np.ndarray, noise: float, seed: int, level: str = "relation"):
    """A curve with independent noise at every layer, and splits into halves whose noises are independent."""
    rng = np.random.default_rng(seed)
    estimate = truth + noise * rng.standard_normal(LAYERS)
    apart = noise * rng.standard_normal((200, LAYERS))
    halves = {"half_a": estimate + apart, "half_b": estimate - apart}
    return planting.drawn_curve(estimate.tolist(), spread=noise, level=level, **halves)


def test_a_second_peak_is_found_with_its_place_and_its_dip():
    (found,) = second_peak_findings([noisy(bumps(0.8), 0.01, 0)])
    assert found.verdict == "supported"
    assert found.lo <= 0.8 * 0.3 <= found.hi + 0.05
    assert "layers 7, " in found.statement
    assert found.p < 0.01


def test_one_peak_is_not_called_two():
    calls = [f.verdict for seed in range(40) for f in second_peak_findings([noisy(bumps(0.0), 0.02, seed)])]
    assert calls.count("supported") <= 3


def test_a_curve_of_noise_alone_has_no_second_peak():
    flat = np.full(LAYERS, 0.5)
    calls = [f.verdict for seed in range(40) for f in second_peak_findings([noisy(flat, 0.03, seed)])]
    assert calls.count("supported") <= 5


def levels(**deep: float):
    """Level curves that fall to a value in the last quarter of depth."""
    out = []
    for name, value in deep.items():
        shape = np.where(np.arange(LAYERS) / (LAYERS - 1) >= 0.75, value, 0.8)
        level = name.replace("_", " ")
        out.append(planting.drawn_curve(shape.tolist(), spread=0.02, level=level))
    return out


def test_deep_content_and_its_place_among_abstractions():
    content, against = compression_findings(levels(buried_item=0.75, buried_relation=0.75, buried_analogy=0.55))
    assert content.verdict == "supported"
    assert content.estimate == pytest.approx(0.5, abs=0.02)  # half of the way from 0.5 to 1
    assert against.verdict == "supported"
    assert against.estimate == pytest.approx(0.4, abs=0.02)
    content, against = compression_findings(levels(buried_item=0.55, buried_relation=0.55, document=0.95))
    assert against.verdict == "not supported"


def test_no_deep_content_is_not_supported():
    content, against = compression_findings(levels(buried_item=0.5, buried_relation=0.5, document=0.5))
    assert content.verdict != "supported"
    assert against.verdict == "inconclusive"


def test_without_buried_levels_nothing_is_said():
    assert compression_findings(levels(item=0.8, document=0.9)) == []


def test_too_few_experiments_for_coordination():
    assert coordination_findings([noisy(bumps(0.0), 0.02, seed) for seed in range(2)]) == []


@pytest.mark.parametrize(("jitter", "verdicts"), [(0.0, {"not supported", "inconclusive"}), (0.05, {"supported"})])
def test_coordination_is_said_of_a_shared_jitter_only(jitter, verdicts):
    broad = 0.55 + 0.3 * np.exp(-0.5 * ((np.arange(LAYERS) - 16) / 8) ** 2)
    shared = jitter * np.random.default_rng(9).standard_normal(LAYERS)
    moves, lag = coordination_findings([noisy(broad + shared, 0.02, seed) for seed in range(6)])
    assert moves.verdict in verdicts
    assert "noise alone -0." in lag.statement


@pytest.mark.parametrize(
    ("shape", "verdict"),
    [
        (lambda rng, at: 0.02 * rng.standard_normal(LAYERS), "inconclusive"),
        (lambda rng, at: 0.2 * np.sin(at / 6), "not supported"),
        (lambda rng, at: 0.05 * (-1.0) ** at + 0.01 * rng.standard_normal(LAYERS), "supported"),
    ],
)
def test_alternation_is_judged_against_noise_and_not_against_zero(shape, verdict):
    rng, at = np.random.default_rng(3), np.arange(LAYERS)
    curves = [planting.drawn_curve((0.6 + shape(rng, at)).tolist()) for _ in range(6)]
    assert coordination_findings(curves)[1].verdict == verdict
