"""Second peaks, deep content and alternation, on curves whose shape and noise are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import planting
from layeratlas.studies.hierarchy.findings.compression import compression_findings, content_findings, deep_gain
from layeratlas.studies.hierarchy.findings.coordination import coordination_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.findings.second_peaks import double_peak, measure_dip, second_peak_findings

LAYERS = 40
FIRST, SECOND = 7, 16
DRAWS = 40


def bumps(second: float) -> np.ndarray:
    """A bump at layer 7 and another at layer 16, `second` times as high."""
    at = np.arange(LAYERS)
    first, other = (np.exp(-0.5 * ((at - place) / 2) ** 2) for place in (FIRST, SECOND))
    return 0.55 + 0.3 * np.maximum(first, second * other)


def noisy(truth: np.ndarray, noise: float, seed: int, level: str = "relation"):
    """A curve with independent noise at every layer, and splits into halves whose noises are independent."""
    rng = np.random.default_rng(seed)
    estimate = truth + noise * rng.standard_normal(LAYERS)
    apart = noise * rng.standard_normal((200, LAYERS))
    halves = {"half_a": estimate + apart, "half_b": estimate - apart}
    return planting.drawn_curve(estimate.tolist(), spread=noise, level=level, **halves)


def second_peak(curve):
    (finding,) = second_peak_findings([curve], planting.PHRASING)
    return finding


def test_without_noise_the_layers_and_the_dip_are_those_that_were_planted():
    truth = bumps(0.8)
    trough = FIRST + int(truth[FIRST:SECOND].argmin())
    curve = planting.drawn_curve(truth, spread=1e-6)
    dip = measure_dip(curve)
    assert (dip.peaks.first, dip.peaks.trough, dip.peaks.second) == (FIRST, trough, SECOND)
    assert dip.size == pytest.approx(0.55 + 0.8 * 0.3 - truth[trough], abs=1e-4)
    assert second_peak(curve).verdict == "supported"


def test_a_second_peak_is_found_under_noise_with_its_place_and_the_size_of_its_dip():
    """In nearly all draws the verdict is right and the places are near; the dip is a little small, never large."""
    truth = bumps(0.8)
    trough = truth[FIRST:SECOND].min()
    curves = [noisy(truth, 0.01, seed) for seed in range(DRAWS)]
    findings = [second_peak(curve) for curve in curves]
    supported = sum(finding.verdict == "supported" for finding in findings)
    assert binom.cdf(supported, DRAWS, 0.9) > 0.01
    peaks = [double_peak(curve.estimate, curve.component) for curve in curves]
    near = sum(abs(p.first - FIRST) <= 1 and abs(p.second - SECOND) <= 1 for p in peaks if p)
    assert binom.cdf(near, DRAWS, 0.9) > 0.01
    size = np.mean([finding.estimate for finding in findings])
    assert 0.8 <= size / (0.55 + 0.8 * 0.3 - trough) <= 1.05
    assert all(finding.lo < finding.estimate < finding.hi for finding in findings)


@pytest.mark.parametrize(("truth", "noise"), [(bumps(0.0), 0.02), (np.full(LAYERS, 0.5), 0.03)], ids=["one", "none"])
def test_one_peak_and_no_peak_are_not_called_two(truth, noise):
    """At a rate of 5 %, more than 6 of 40 happen once in 100 times."""
    supported = sum(second_peak(noisy(truth, noise, seed)).verdict == "supported" for seed in range(DRAWS))
    assert binom.sf(supported - 1, DRAWS, 0.05) > 0.01


def test_a_curve_that_rises_throughout_has_no_second_peak():
    rise = second_peak(planting.drawn_curve(np.linspace(0.5, 0.9, LAYERS), spread=0.001))
    assert rise.verdict == "not supported"
    assert (rise.estimate, rise.p) == (0.0, 1.0)
    assert rise.hi < 0.02
    unsure = second_peak(planting.drawn_curve(np.linspace(0.5, 0.9, LAYERS), spread=0.15))
    assert unsure.verdict == "inconclusive"
    assert unsure.hi > 0.02


def test_a_dip_within_the_error_is_inconclusive():
    """Two maxima, and draws that cannot tell their dip from zero: absence is not claimed."""
    assert second_peak(planting.drawn_curve(bumps(0.8), spread=0.3)).verdict == "inconclusive"


def test_second_peaks_are_corrected_by_holm():
    curve = planting.drawn_curve(bumps(0.8), spread=0.05, component="attn")
    alone, corrected = second_peak(curve), second_peak_findings([curve, curve, curve], planting.PHRASING)
    assert corrected[0].p == pytest.approx(3 * alone.p)


def content(level: str, deep: float, task: str = "all", **fields):
    """A curve that is 0.8, and another value in the last quarter of depth."""
    shape = np.where(np.arange(LAYERS) / (LAYERS - 1) >= 0.75, deep, 0.8)
    return planting.drawn_curve(shape.tolist(), spread=0.02, level=level, task=task, **fields)


def supported_peaks(*curves):
    findings = peak_findings(curves, planting.PHRASING)
    return {finding.level: finding for finding in findings if finding.verdict == "supported"}


def test_a_deep_gain_is_the_share_of_the_way_from_chance_to_certainty():
    curve = content("buried item", 0.75)
    assert deep_gain(curve.estimate, curve) == pytest.approx(0.5)
    assert deep_gain(curve.draws, curve).mean() == pytest.approx(0.5, abs=0.01)
    assert deep_gain(curve.shuffles, curve).mean() == pytest.approx(0.0, abs=0.01)


def test_every_buried_level_is_judged_by_itself():
    """Negative control for a mean over levels: items that decode say nothing of relations that do not."""
    curves = [content("buried item", 0.9), content("buried relation", 0.5)]
    findings = content_findings(curves, supported_peaks(*curves), planting.PHRASING)
    assert [(f.level, f.verdict) for f in findings] == [
        ("buried item", "supported"),
        ("buried relation", "not supported"),
    ]
    assert findings[0].estimate == pytest.approx(0.8, abs=0.02)


def test_what_has_no_peak_has_no_deep_content():
    """One story: a level cannot decode in deep layers and be undetected over all of them."""
    curves = [content("buried item", 0.9)]
    (finding,) = content_findings(curves, {}, planting.PHRASING)
    assert finding.verdict == "inconclusive"


def matched(deep: float, plain: float):
    """Return what deep layers keep of buried items and of the same items not buried."""
    curves = []
    for level, task, value in (("buried item", "buried_animal", deep), ("item", "animal", plain)):
        curves += [content(level, value), content(level, value, task)]
    found = compression_findings(curves, supported_peaks(curves[0], curves[2]), planting.PHRASING)
    assert len(found) == 1
    return found[0]


def test_deep_layers_keep_more_or_less_of_buried_content_than_of_the_same_not_buried():
    kept, lost, equal = matched(0.8, 0.6), matched(0.6, 0.8), matched(0.7, 0.7)
    assert (kept.verdict, lost.verdict, equal.verdict) == ("supported", "not supported", "inconclusive")
    assert kept.estimate == pytest.approx(0.67, abs=0.1)


def test_an_easier_task_is_not_taken_for_one_that_is_kept():
    """Negative control: a gain twice as large at every layer keeps the same share of its best."""
    shape = np.where(np.arange(LAYERS) / (LAYERS - 1) >= 0.75, 0.6, 0.7)
    curves = []
    for level, task, size in (("buried relation", "buried_relations", 1), ("relation", "relations", 2)):
        easy = 0.5 + size * (shape - 0.5)
        curves += [planting.drawn_curve(easy.tolist(), level=level, task=name) for name in ("all", task)]
    (finding,) = compression_findings(curves, supported_peaks(curves[0], curves[2]), planting.PHRASING)
    assert finding.verdict == "inconclusive"
    assert abs(finding.estimate) < 0.05


def test_without_a_matched_task_or_a_buried_level_there_is_no_finding():
    peaks = supported_peaks(content("item", 0.8), content("buried item", 0.8))
    curves = [content("item", 0.8), content("item", 0.8, "edible"), content("buried item", 0.8, "buried_animal")]
    assert compression_findings(curves, peaks, planting.PHRASING) == []
    assert content_findings([content("item", 0.8)], peaks, planting.PHRASING) == []


def test_too_few_tasks_for_coordination():
    assert coordination_findings([noisy(bumps(0.0), 0.02, seed) for seed in range(2)]) == []


def test_a_move_that_all_curves_share_is_not_coordination():
    broad = 0.55 + 0.3 * np.exp(-0.5 * ((np.arange(LAYERS) - 16) / 8) ** 2)
    shared = 0.05 * np.random.default_rng(9).standard_normal(LAYERS)
    moves, lag = coordination_findings([noisy(broad + shared, 0.02, seed) for seed in range(6)])
    assert (moves.finding, lag.finding) == ("coordination", "anti-persistence")
    assert moves.verdict != "supported"
    # The null of anti-persistence is independent noise, whose differences have a lag-1 autocorrelation near -0.5.
    assert lag.lo < -0.48 < lag.hi < 0


def test_layers_that_take_turns_coordinate():
    sign = np.where(np.arange(LAYERS) % 2, 0.05, -0.05)
    moves, _ = coordination_findings([noisy(0.7 + sign * (-1) ** task, 0.02, task) for task in range(6)])
    assert moves.verdict == "supported"
    assert 0 < moves.lo < moves.estimate < moves.hi


def test_a_curve_at_its_ceiling_everywhere_takes_no_part_in_coordination():
    sign = np.where(np.arange(LAYERS) % 2, 0.05, -0.05)
    moving = [noisy(0.7 + sign * (-1) ** task, 0.02, task) for task in range(6)]
    flat = planting.drawn_curve(np.r_[0.9, np.ones(LAYERS - 1)], spread=0.0)  # point 0 takes no part anyway
    assert coordination_findings([*moving, flat]) == coordination_findings(moving)
    assert coordination_findings([*moving[:2], flat, flat]) == []


def test_too_few_layers_for_coordination():
    curves = [planting.drawn_curve([0.5, 0.6, 0.7, 0.6, 0.5]) for _ in range(4)]
    assert coordination_findings(curves) == []


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
