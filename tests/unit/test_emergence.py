"""Emergence: depths of known shapes, intervals that hold the planted depth, and the order of levels that it decides."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import planting
from layeratlas.stats.emergence import emergence_depth, measure_emergence, passage_depth, rise, settled, settled_depth
from layeratlas.stats.intervals import percentile_interval
from layeratlas.studies.hierarchy.findings.emergence import (
    DEFINITIONS,
    SETTLED,
    emergence_findings,
    emergence_order_findings,
    emergence_table,
)
from layeratlas.studies.hierarchy.findings.order import order_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings

POINTS = 31
AT = np.arange(POINTS)
DEPTH = AT / (POINTS - 1)


def sigmoid(middle: float, width: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(AT - middle) / width))


def hump(middle: float, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((AT - middle) / width) ** 2)


SHAPES = {
    "plateau": 0.35 * sigmoid(8, 1.5),
    "late plateau": 0.2 * sigmoid(20, 2),
    "two steps": 0.15 * sigmoid(4, 1) + 0.15 * sigmoid(16, 1),
    "hump": 0.3 * hump(9, 3),
    "slow fall": 0.35 * sigmoid(6, 1) * (1 - 0.4 * DEPTH),
    "early": 0.3 * sigmoid(1, 1),
    "ramp": 0.3 * DEPTH,
}


def noise(rng, rows: int, sd: float) -> np.ndarray:
    """Noise that persists from layer to layer, as that of a residual stream does."""
    values = rng.standard_normal((rows, POINTS))
    for layer in range(1, POINTS):
        values[:, layer] = 0.7 * values[:, layer - 1] + np.sqrt(1 - 0.7**2) * values[:, layer]
    return sd * values


def noisy(shape: np.ndarray, sd: float, seed: int, level: str = "item"):
    rng = np.random.default_rng([seed, *level.encode()])
    estimate = 0.5 + shape + noise(rng, 1, sd)[0]
    draws = estimate + noise(rng, 300, sd)
    halves = {name: estimate + 1.4 * noise(rng, 50, sd) for name in ("half_a", "half_b")}
    return planting.drawn_curve(estimate.tolist(), spread=0.01, level=level, draws=draws, **halves)


def test_a_ramp_emerges_in_its_middle_and_a_step_between_its_points():
    assert emergence_depth(DEPTH, DEPTH) == pytest.approx(0.5)
    step = np.where(AT >= 6, 0.3, 0.0)
    assert emergence_depth(step, DEPTH) == pytest.approx(5.5 / 30)
    assert passage_depth(step, DEPTH, 0.5) == pytest.approx(5.5 / 30)


def test_depth_does_not_depend_on_the_height_of_the_rise_or_on_what_follows_the_peak():
    rising = hump(9, 3)
    for other in (0.1 * rising, np.where(AT > 9, 0.2, rising)):
        assert emergence_depth(other, DEPTH) == pytest.approx(emergence_depth(rising, DEPTH))


def test_of_two_steps_the_mean_moves_smoothly_where_the_half_rise_jumps():
    """A change of 2 % in the height of one step moves the half-rise by a third of the depth."""
    low, high = (first * sigmoid(4, 0.3) + (1 - first) * sigmoid(16, 0.3) for first in (0.49, 0.51))
    assert abs(passage_depth(low, DEPTH, 0.5) - passage_depth(high, DEPTH, 0.5)) > 0.3
    assert abs(emergence_depth(low, DEPTH) - emergence_depth(high, DEPTH)) < 0.02


def test_a_curve_that_never_rises_emerges_at_the_end_and_never_settles():
    flat = np.full((2, POINTS), -0.1)
    assert (rise(flat) == 0).all()
    assert (emergence_depth(flat, DEPTH) == 1).all()
    assert (passage_depth(flat, DEPTH, 0.5) == 1).all()
    assert np.isinf(settled_depth(flat, DEPTH)).all()


def test_a_curve_settles_where_it_stays_above_half_of_its_maximum():
    assert settled_depth(sigmoid(8, 0.1), DEPTH) == pytest.approx(8 / 30)
    assert settled_depth(np.maximum(hump(4, 1), 0.8 * sigmoid(15.5, 0.1)), DEPTH) == pytest.approx(16 / 30)
    assert np.isinf(settled_depth(hump(9, 3), DEPTH))
    effect = settled(noisy(SHAPES["hump"], 0.01, 0))
    assert np.isinf([effect.estimate, effect.lo, effect.hi]).all()


def held(shape: np.ndarray, sd: float, trials: int) -> tuple[int, int]:
    """Return in how many trials the interval holds the planted depth, and the uncorrected percentile interval does."""
    truth = float(emergence_depth(shape, DEPTH))
    corrected = raw = 0
    for seed in range(trials):
        curve = noisy(shape, sd, seed)
        lo, hi = measure_emergence(curve).interval
        corrected += lo <= truth <= hi
        lo, hi = percentile_interval(emergence_depth(curve.draws - 0.5, curve.depth))
        raw += lo <= truth <= hi
    return corrected, raw


@pytest.mark.parametrize("shape", SHAPES)
def test_intervals_hold_the_planted_depth(shape):
    """At 95 %, fewer than 34 of 40 happen once in 100 times."""
    assert held(SHAPES[shape], 0.015, 40)[0] >= 34


def test_without_the_correction_they_would_not():
    """Negative control: noise adds passages before the rise and after it."""
    corrected, raw = held(SHAPES["early"], 0.015, 60)
    assert corrected >= 52
    assert raw < 48


@pytest.mark.truth
@pytest.mark.parametrize("sd", [0.01, 0.025])
def test_coverage_over_all_shapes_is_near_nominal(sd):
    rates = {name: held(shape, sd, 300)[0] / 300 for name, shape in SHAPES.items()}
    assert 0.93 <= np.mean(list(rates.values())) <= 0.975, rates
    assert min(rates.values()) >= 0.88, rates


def test_plateaus_have_an_order_of_emergence_and_none_of_peaks():
    supported = {"emergence": 0, "peak": 0}
    for seed in range(20):
        pair = (noisy(0.3 * sigmoid(6, 1), 0.02, seed), noisy(0.3 * sigmoid(11, 1), 0.02, seed, level="relation"))
        (emergence,) = emergence_order_findings([pair], planting.PHRASING)
        (peak,) = order_findings(pair, {"item", "relation"}, planting.PHRASING)
        supported["emergence"] += emergence.verdict == "supported"
        supported["peak"] += peak.verdict == "supported"
    assert supported["emergence"] >= 18
    assert supported["peak"] <= 3
    (reverse,) = emergence_order_findings([pair[::-1]], planting.PHRASING)
    assert reverse.verdict == "not supported"


@pytest.mark.parametrize("shape", ["plateau", "two steps", "ramp"])
def test_levels_of_one_shape_have_no_order(shape):
    """Negative control: two-sided, 2.5 % on each side; more than 5 of 40 either way happen once in 100 times."""
    verdicts = []
    for seed in range(40):
        pair = [noisy(SHAPES[shape], 0.02, seed, level=level) for level in ("item", "relation")]
        verdicts.append(emergence_order_findings([tuple(pair)], planting.PHRASING)[0].verdict)
    assert verdicts.count("inconclusive") >= 34


def test_a_finding_per_level_that_decodes_with_the_p_value_of_its_peak():
    curves = [noisy(SHAPES["plateau"], 0.01, 1), noisy(0 * AT, 0.01, 1, level="relation")]
    peaks = {finding.level: finding for finding in peak_findings(curves[:1], planting.PHRASING)}
    (finding,) = emergence_findings(curves, peaks, planting.PHRASING)
    assert (finding.level, finding.verdict, finding.p) == ("item", "supported", peaks["item"].p)
    assert finding.lo < finding.estimate < finding.hi


def test_the_table_has_every_definition_of_each_level_and_pair():
    pair = (noisy(SHAPES["two steps"], 0.01, 0), noisy(SHAPES["late plateau"], 0.01, 0, level="relation"))
    table = emergence_table(pair, [pair])
    depths = table.filter(quantity="depth", level="item")
    assert depths["definition"].to_list() == [*DEFINITIONS, SETTLED]
    quarter, half, three = (depths.filter(definition=name)["estimate"].item() for name in list(DEFINITIONS)[1:])
    assert quarter < half < three
    differences = table.filter(quantity="difference")
    assert differences["level"].to_list() == ["item < relation"] * len(DEFINITIONS)


def test_few_texts_alone_move_no_plateau_deeper():
    """The rise ends at a height read on other groups; the highest estimate (the control) moves plateaus deeper."""
    rng = np.random.default_rng(5)
    shape, found, control = 0.35 * sigmoid(8, 2), [], []
    for _ in range(120):
        estimate = 0.5 + shape + noise(rng, 1, 0.04)[0]
        halves = noise(rng, 100, 0.04)
        draws = estimate + noise(rng, 200, 0.04)
        whole = planting.drawn_curve(estimate, draws=draws, half_a=estimate + halves, half_b=estimate - halves)
        found.append(measure_emergence(whole).estimate)
        none = np.zeros((0, POINTS))
        control.append(measure_emergence(dataclasses.replace(whole, half_a=none, half_b=none)).estimate)
    true = emergence_depth(shape, DEPTH)
    assert abs(np.mean(found) - true) < 0.01
    assert np.mean(control) - true > 0.02
