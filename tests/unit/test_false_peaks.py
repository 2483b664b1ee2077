"""Peaks under the null: at most 5 % of reports have one at any number of shuffles, both probes together."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

import planting
from layeratlas.stats.curves import Curve
from layeratlas.studies.hierarchy.findings.peaks import peak_findings

POINTS, REPORTS = 12, 100
LEVELS = ("item", "relation", "analogy")
METHODS = ("ridge", "svm")


def report(seed: int, shuffles: int, strength: float = 0.0) -> list[Curve]:
    """Return curves of noise of both probes: the real labels are one more shuffle. `strength` is analogies' signal."""
    rng = np.random.default_rng([seed, 5])
    curves = []
    for level in LEVELS:
        rows = rng.standard_normal((1 + shuffles, POINTS))
        for layer in range(1, POINTS):
            rows[:, layer] = 0.7 * rows[:, layer - 1] + np.sqrt(1 - 0.7**2) * rows[:, layer]
        for method, count in zip(METHODS, (shuffles, max(20, shuffles // 5)), strict=True):
            values = 0.5 + 0.03 * (rows + 0.5 * rng.standard_normal(rows.shape))
            estimate = values[0] + strength * (level == "analogy")
            fields = {"method": method, "shuffles": values[1 : 1 + count]}
            curves.append(planting.drawn_curve(estimate.tolist(), spread=0.01, level=level, **fields))
    return curves


def supported(seed: int, shuffles: int, strength: float = 0.0) -> list[str]:
    findings = peak_findings(report(seed, shuffles, strength), planting.PHRASING)
    return [finding.level for finding in findings if finding.verdict == "supported"]


def by_shuffles_alone(curves: list[Curve]) -> bool:
    """Return whether the rule of a centre and a spread of the shuffles alone finds a peak with either probe."""
    for method in METHODS:
        family = [curve for curve in curves if curve.method == method]
        null, tops = np.full(len(family[0].shuffles), -np.inf), []
        for curve in family:
            centre, spread = curve.shuffles.mean(0), np.sqrt(curve.shuffles.var(0).mean())
            null = np.maximum(null, ((curve.shuffles - centre) / spread).max(1))
            tops.append(((curve.estimate - centre) / spread).max())
        if (1 + (null >= max(tops)).sum()) / (1 + len(null)) <= 0.05:
            return True
    return False


@pytest.mark.parametrize("shuffles", [20, 40, 100])
def test_at_most_one_report_in_twenty_has_a_peak_of_noise(shuffles):
    """At 5 %, more than 11 of 100 happen once in 100 times."""
    false = sum(bool(supported(seed, shuffles)) for seed in range(REPORTS))
    assert binom.sf(false - 1, REPORTS, 0.05) > 0.01


def test_a_spread_of_the_shuffles_alone_gives_more():
    """Negative control, at 20 shuffles."""
    assert sum(by_shuffles_alone(report(seed, 20)) for seed in range(REPORTS)) >= 12


@pytest.mark.parametrize("shuffles", [20, 40])
def test_a_signal_is_found_by_both_probes_and_others_are_not(shuffles):
    counts = [supported(seed, shuffles, strength=0.2) for seed in range(10)]
    assert sum(levels.count("analogy") for levels in counts) >= 19
    assert sum(level != "analogy" for levels in counts for level in levels) <= 4


def test_too_few_shuffles_support_nothing():
    """With 18 shuffles no p-value is below 1 / 19."""
    curve = planting.drawn_curve([0.5, 0.9, 0.5])
    short = planting.drawn_curve([0.5, 0.9, 0.5], shuffles=curve.shuffles[:18])
    assert peak_findings([curve], planting.PHRASING)[0].verdict == "supported"
    (finding,) = peak_findings([short], planting.PHRASING)
    assert (finding.verdict, finding.p) == ("inconclusive", pytest.approx(1 / 19))


def test_a_second_probe_is_never_surer_than_the_first():
    ridge, svm = (planting.drawn_curve([0.5, top, 0.5], method=m) for m, top in (("ridge", 0.5), ("svm", 0.9)))
    first, second = peak_findings([ridge, svm], planting.PHRASING)
    assert first.p > 0.05
    assert second.p >= first.p
