"""Peaks, orders and declines of curves whose shape is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import planting
from layeratlas.stats.curves import level_curve
from layeratlas.stats.peaks import cross_chosen, find_peak
from layeratlas.stats.shuffling import LEAST
from layeratlas.stats.tests import holm
from layeratlas.studies.hierarchy.findings.decline import decline_finding
from layeratlas.studies.hierarchy.findings.order import order_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.findings.surface import surface_findings

HUMP = [0.5, 0.6, 0.7, 0.895, 0.9, 0.893, 0.8, 0.7, 0.895]
LEVELS = {"item", "relation", "analogy"}


def hump(at, layers=13, height=0.4, width=1.5):
    return 0.5 + height * np.exp(-(((np.arange(layers) - at) / width) ** 2))


def test_the_peak_is_the_best_layer_and_its_range_is_contiguous():
    peak = find_peak(planting.drawn_curve(HUMP, spread=0.01))
    # Layer 8 is as near to the maximum as layer 3, but does not touch the range.
    assert (peak.layer, peak.first, peak.last) == (4, 3, 5)
    assert peak.lo < peak.value < peak.hi
    assert peak.depths.shape == (1000,)


def test_the_range_shrinks_with_the_error():
    peak = find_peak(planting.drawn_curve(HUMP, spread=0.001, n=250_000))
    assert (peak.layer, peak.first, peak.last) == (4, 4, 4)
    wide = find_peak(planting.drawn_curve(HUMP, spread=0.15))
    assert (wide.first, wide.last) == (3, 6)


def test_a_peak_at_either_end_stays_inside():
    assert find_peak(planting.drawn_curve([0.9, 0.7, 0.6])).first == 0
    assert find_peak(planting.drawn_curve([0.6, 0.7, 0.9])).last == 2


def test_ties_go_to_the_first_layer():
    assert find_peak(planting.drawn_curve([0.5, 0.9, 0.9, 0.9])).layer == 1


def test_the_value_carries_no_winners_curse():
    """Twenty-five equal layers: the best estimate is too high, the value read on the other half is not."""
    rng = np.random.default_rng(0)
    best, values = [], []
    for _ in range(60):
        # Two independent halves of a sample, each with its own error; the whole is their mean.
        a, b = 0.7 + 0.02 * rng.standard_normal((2, 25))
        curve = planting.drawn_curve((a + b) / 2, half_a=a[None], half_b=b[None])
        best.append(curve.estimate.max())
        values.append(find_peak(curve).value)
    assert abs(np.mean(values) - 0.7) < 0.005
    assert np.mean(best) - 0.7 > 0.02


def test_cross_chosen_is_the_gap_to_the_reference_layers():
    curve = planting.drawn_curve([0.5, 0.9, 0.6], spread=1e-6)
    assert cross_chosen(curve, np.array([0.0, 0, 0])) == pytest.approx(0.9, abs=1e-4)
    assert cross_chosen(curve, np.array([0.0, 0, 1])) == pytest.approx(0.3, abs=1e-4)
    assert cross_chosen(curve, np.array([0.5, 0, 0.5])) == pytest.approx(0.35, abs=1e-4)


def test_depths_of_points_and_blocks():
    assert planting.drawn_curve([0.5] * 5).depth.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert planting.drawn_curve([0.5] * 4, component="attn").depth.tolist() == [0.25, 0.5, 0.75, 1]


def test_a_peak_finding_has_layer_depth_value_and_chance():
    (peak,) = peak_findings([planting.drawn_curve(HUMP)], planting.PHRASING)
    assert peak.finding == "peak"
    assert peak.verdict == "supported"
    assert peak.estimate == 0.5
    assert peak.lo <= peak.estimate <= peak.hi
    assert peak.p == LEAST
    assert peak.n == 400
    assert peak.statement == (
        "Item properties decode best from the residual stream at point 4 of 0-8 (3-5 within one standard error), "
        "depth 0.50: accuracy 0.90 [0.87, 0.92], chance 0.50."
    )
    assert peak.null == "the maximum over all layers and curves under 99 label shuffles"


def test_a_level_of_the_users_own_is_quoted_and_a_sublayer_has_blocks():
    curve = planting.drawn_curve([0.5, 0.9, 0.6], 0.001, level="tone", component="mlp", n=250_000)
    (peak,) = peak_findings([curve], planting.PHRASING)
    assert peak.statement == (
        "Level 'tone' decodes best from the MLP output at block 1 of 0-2, depth 0.67: accuracy 0.90 [0.90, 0.90], "
        "chance 0.50."
    )


def test_a_flat_curve_at_chance_has_no_peak():
    rng = np.random.default_rng(0)
    flat = planting.drawn_curve(0.5 + 0.01 * rng.standard_normal(20))
    (peak,) = peak_findings([flat], planting.PHRASING)
    assert peak.verdict == "inconclusive"
    assert peak.p > 0.05


def test_significance_without_a_value_above_chance_is_no_peak():
    """Both are required: p against shuffles, and an interval of the value above chance."""
    curve = planting.drawn_curve(HUMP, chance=0.9)
    (peak,) = peak_findings([curve], planting.PHRASING)
    assert peak.p <= 0.05
    assert peak.verdict == "inconclusive"


def test_the_null_is_the_maximum_over_all_layers_and_curves():
    """A layer that would pass alone does not pass where many were looked at."""
    rng = np.random.default_rng(1)
    shuffles = 0.5 + 0.02 * rng.standard_normal((999, 30))
    estimate = np.full(30, 0.5)
    estimate[7] = 0.545  # 2.25 standard deviations
    alone = planting.drawn_curve(estimate[7:8], spread=0.001, shuffles=shuffles[:, 7:8], component="attn")
    among = planting.drawn_curve(estimate, spread=0.001, shuffles=shuffles)
    (one,), (many,) = (peak_findings([curve], planting.PHRASING) for curve in (alone, among))
    assert one.p == pytest.approx(norm.sf(2.25), abs=0.01)
    assert one.p <= 0.05 < many.p
    assert many.p == pytest.approx(1 - norm.cdf(2.25) ** 30, abs=0.06)
    other = planting.drawn_curve(np.full(30, 0.5), level="relation", shuffles=shuffles[::-1])
    assert peak_findings([among, other], planting.PHRASING)[0].p > many.p


def level_curves(**peaks):
    return [planting.drawn_curve(hump(layer), level=name) for name, layer in peaks.items()]


def orders(curves, decoded=LEVELS):
    return order_findings(curves, decoded, planting.PHRASING)


def test_a_supported_order():
    findings = orders(level_curves(item=2, relation=6, analogy=10))
    assert [f.level for f in findings] == ["item < relation", "relation < analogy"]
    assert [f.verdict for f in findings] == ["supported", "supported"]
    assert findings[0].estimate == pytest.approx(4 / 12)
    assert findings[0].statement == (
        "Two-item relations peak deeper than item properties in the residual stream: +0.33 of depth [+0.33, +0.33]."
    )
    assert all(0 < f.lo <= f.estimate <= f.hi for f in findings)


def test_the_opposite_order_is_not_supported():
    (order,) = orders(level_curves(item=8, relation=2))
    assert order.verdict == "not supported"
    assert order.estimate == pytest.approx(-6 / 12)
    assert order.hi < 0


def test_an_order_within_the_error_is_inconclusive():
    curves = [planting.drawn_curve(hump(6, width=4), 0.03), planting.drawn_curve(hump(6.4, width=4), 0.03, "relation")]
    (order,) = orders(curves)
    assert order.verdict == "inconclusive"
    assert order.lo <= 0 <= order.hi


def test_a_level_that_does_not_decode_has_no_order():
    assert orders(level_curves(item=2, relation=8), decoded={"item"}) == []


def test_orders_are_corrected_by_holm():
    curves = level_curves(item=2, relation=6, analogy=10)
    # 1000 draws, none on the wrong side: p is 2 / 1001 alone and twice that for the first of two.
    assert [f.p for f in orders(curves[:2])] == [pytest.approx(2 / 1001)]
    assert [f.p for f in orders(curves)] == [pytest.approx(4 / 1001)] * 2


@pytest.mark.parametrize(
    ("ps", "adjusted"),
    [
        # Holm (1979) by hand: 4 x .005, 3 x .01, 2 x .03, then never below the one before.
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.01, 0.01, 0.01], [0.03, 0.03, 0.03]),
        ([], []),
    ],
)
def test_holm(ps, adjusted):
    assert holm(ps) == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("last", "spread", "verdict"),
    [(0.6, 0.01, "supported"), (0.9, 0.002, "not supported"), (0.87, 0.03, "inconclusive")],
)
def test_decline(last, spread, verdict):
    decline = decline_finding(planting.drawn_curve([0.5, 0.7, 0.9, 0.8, last], spread), planting.PHRASING)
    assert decline.verdict == verdict
    assert decline.lo < 0.9 - last < decline.hi


def test_a_decline_says_what_falls_where_and_by_how_much():
    decline = decline_finding(planting.drawn_curve([0.5, 0.7, 0.9, 0.8, 0.6], 1e-4), planting.PHRASING)
    assert decline.estimate == pytest.approx(0.3, abs=1e-3)
    assert decline.statement == (
        "Accuracy of item properties falls from its peak to the last layer of the residual stream: "
        "drop 0.30 [0.30, 0.30]."
    )


def test_a_rise_to_the_end_is_no_decline():
    rise = planting.drawn_curve([0.5, 0.6, 0.7, 0.8, 0.9], 0.003, n=25_000)
    assert decline_finding(rise, planting.PHRASING).verdict == "not supported"


@pytest.mark.parametrize(
    ("baseline", "spread", "verdict"),
    [(0.7, 0.01, "supported"), (0.95, 0.002, "not supported"), (0.89, 0.03, "inconclusive")],
)
def test_a_peak_must_beat_words_and_lengths(baseline, spread, verdict):
    curve = planting.drawn_curve([0.5, 0.7, 0.9, 0.8], spread, baseline=baseline)
    (surface,) = surface_findings([curve], planting.PHRASING)
    assert surface.verdict == verdict
    assert surface.lo < 0.9 - baseline < surface.hi
    assert surface.null == "the peak equals words and lengths alone"


@pytest.mark.parametrize("baseline", [0.6, float("nan")])
def test_a_peak_must_beat_the_embedding_where_no_baseline_is_better(baseline):
    curve = planting.drawn_curve([0.88, 0.7, 0.9, 0.8], 0.03, baseline=baseline)
    (surface,) = surface_findings([curve], planting.PHRASING)
    assert surface.verdict == "inconclusive"
    assert surface.lo < 0.9 - 0.88 < surface.hi
    assert surface.null == "the peak equals the token embedding (point 0)"


def test_a_sublayer_has_no_embedding_to_beat():
    curve = planting.drawn_curve([0.88, 0.7, 0.9, 0.8], 0.001, baseline=0.6, component="attn")
    (surface,) = surface_findings([curve], planting.PHRASING)
    assert surface.estimate == pytest.approx(0.3, abs=0.01)


def test_a_level_curve_is_the_mean_of_its_tasks():
    curves = [planting.drawn_curve([0.5, 0.6], task=name) for name in "ab"]
    curves.append(planting.drawn_curve([0.8, 0.9], task="c"))
    level = level_curve(curves, 150)
    assert level.estimate == pytest.approx([0.6, 0.7])
    assert level.draws == pytest.approx(np.mean([c.draws for c in curves], 0))
    assert (level.task, level.n, level.n_groups) == ("all", 1200, 150)
