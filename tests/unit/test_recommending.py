"""Which layer? The set of equally good layers, the rules by purpose, and the records that a run keeps."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

import planting
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.formatting import ranges
from layeratlas.runs.recommendation import (
    FILE,
    Choice,
    Purpose,
    Recommendation,
    as_records,
    main_recommendations,
    read_recommendations,
    recommend,
    summary_lines,
    write_recommendations,
)
from layeratlas.stats.best_layers import best_layers, choose, noise_of, smoothed
from layeratlas.studies.hierarchy.analysing import advise
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.names import HierarchyFinding
from layeratlas.studies.hierarchy.recommending import RULES, SHARE, Beside, recommendations

# Layers 5 to 8 are equally the best.
PLATEAU = np.array([0.5, 0.55, 0.6, 0.7, 0.75, 0.8, 0.8, 0.8, 0.8, 0.75, 0.7, 0.6])
BEST = [5, 6, 7, 8]


def drawn_around(truth: np.ndarray, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An estimate and its bootstrap, whose noise at neighbouring layers is correlated as in a residual stream."""
    rng = np.random.default_rng([seed, 5])
    lags = np.abs(np.subtract.outer(range(len(truth)), range(len(truth))))
    noise = spread * rng.standard_normal((401, len(truth))) @ np.linalg.cholesky(0.7**lags).T
    return truth + noise[0], truth + noise[0] + noise[1:]


def sets_of(truth: np.ndarray, spread: float, trials: int = 200) -> list[set[int]]:
    results = [best_layers(*drawn_around(truth, spread, seed)) for seed in range(trials)]
    return [set(np.flatnonzero(best.inside).tolist()) for best in results]


def test_the_set_covers_layers_that_are_equally_best_as_often_as_it_says():
    covered = np.mean([set(BEST) <= layers for layers in sets_of(PLATEAU, 0.02)])
    # 200 trials at 0.95: a standard error of 0.015.
    assert 0.91 <= covered < 1.0


def test_worse_layers_leave_the_set_as_texts_are_added():
    sizes = [np.mean([len(layers) for layers in sets_of(PLATEAU, spread, 40)]) for spread in (0.08, 0.02, 0.005)]
    assert sizes[0] > 8
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[2] == pytest.approx(len(BEST), abs=0.3)


def test_a_flat_curve_keeps_all_its_layers():
    flat = np.full(12, 0.8)
    assert np.mean([len(layers) == 12 for layers in sets_of(flat, 0.02)]) == pytest.approx(0.95, abs=0.05)
    same = np.full((300, 4), 0.9)
    assert best_layers(same[0], same).inside.all()


def test_the_set_of_one_layer_is_that_layer():
    assert best_layers(np.array([0.7]), np.full((50, 1), 0.7)).inside.tolist() == [True]


def test_a_curve_is_smoothed_as_far_as_its_noise_asks():
    """A lone spike is chosen where it is known exactly, and a plateau beside it where it may be noise."""
    spike = np.array([0.5] * 10 + [0.8] + [0.6] * 4 + [0.78] * 6 + [0.5] * 10)
    known, noisy = (spread**2 * np.eye(31) for spread in (0.001, 0.1))
    assert choose(spike, known, np.ones(31, bool)) == 10
    assert choose(spike, noisy, np.ones(31, bool)) in range(16, 20)
    assert choose(spike, noisy, np.arange(31) == 12) == 12
    np.testing.assert_allclose(smoothed(spike, known), spike, atol=0.002)
    # Noise that all layers share says nothing about their differences.
    np.testing.assert_allclose(smoothed(spike, known + 1.0), smoothed(spike, known), atol=1e-6)


@pytest.mark.parametrize("ratio", [0.1, 3.0, 100.0])
def test_smoothing_is_the_mean_of_a_gaussian_process(ratio):
    """At one prior variance, beside scikit-learn's with an unknown mean (a constant of huge variance)."""
    rng = np.random.default_rng(3)
    values = 0.7 + 0.1 * rng.standard_normal((4, 13))
    noise = np.diag(rng.uniform(0.01, 0.1, 13) ** 2)
    contrasts = np.eye(13) - 1 / 13
    variance = ratio * np.trace(contrasts @ noise @ contrasts) / 12
    kernel = ConstantKernel(1e3) + ConstantKernel(variance) * Matern(0.3, nu=1.5)
    process = GaussianProcessRegressor(kernel, alpha=np.diag(noise), optimizer=None)
    depth = np.linspace(0, 1, 13)[:, None]
    expected = np.stack([process.fit(depth, row).predict(depth) for row in values])
    found = smoothed(values, noise, ratios=np.array([ratio]))
    np.testing.assert_allclose(found @ contrasts, expected @ contrasts, atol=1e-5)
    np.testing.assert_allclose(found.mean(1), values.mean(1))


def test_smoothing_moves_neither_a_flat_curve_nor_a_single_layer():
    np.testing.assert_allclose(smoothed(np.full(9, 0.8), 1e-4 * np.eye(9)), 0.8)
    assert smoothed(np.array([0.7]), np.eye(1)) == 0.7


@pytest.mark.parametrize(("layers", "share"), [(7, 1.02), (13, 0.8), (31, 0.8)])
def test_on_smooth_curves_the_chosen_layer_is_less_behind_the_best_than_the_highest_one(layers, share):
    """Among seven layers there are few neighbours to learn from: there it is no worse."""
    truth = 0.5 + 0.35 * np.exp(-0.5 * ((np.linspace(0, 1, layers) - 0.4) / 0.2) ** 2)
    drawn = [drawn_around(truth, 0.03, seed) for seed in range(300)]
    everywhere = np.ones(layers, bool)
    chosen = np.mean([truth.max() - truth[choose(curve, noise_of(draws), everywhere)] for curve, draws in drawn])
    highest = np.mean([truth.max() - truth[curve.argmax()] for curve, _ in drawn])
    assert chosen < share * highest


def advice_on(*curves, component: str = "resid"):
    levels = [dataclasses.replace(curve, component=component) for curve in curves]
    peaks = peak_findings([curve for curve in levels if curve.task == "all"], planting.PHRASING)
    return recommendations(levels, peaks, planting.PHRASING)


def test_no_layer_is_recommended_where_the_correction_of_the_report_removes_the_peak():
    curve = planting.drawn_curve(PLATEAU)
    (peak,) = peak_findings([curve], planting.PHRASING)
    peak = dataclasses.replace(peak, p=0.03)
    others = [dataclasses.replace(peak, finding=HierarchyFinding.SURFACE, p=0.9)] * 20
    alone, among = (advise([curve], [peak, *rest], planting.PHRASING) for rest in ([], others))
    assert {row.layer for row in among} == {None}
    assert {row.purpose for row in among} == {Purpose.PROBE, Purpose.DIRECTION}
    assert "q = " in among[0].reason
    assert None not in {row.layer for row in alone}


def chosen(rows, purpose: Purpose, subject: str = "item"):
    return next(row for row in rows if row.purpose == purpose and row.subject == subject)


def test_probe_takes_the_highest_layer_and_a_direction_the_earliest_as_good():
    rows = advice_on(planting.drawn_curve(PLATEAU + 0.002 * (np.arange(12) == 6)))
    probe, direction = chosen(rows, Purpose.PROBE), chosen(rows, Purpose.DIRECTION)
    assert probe.layer == 6
    assert set(BEST) <= set(probe.as_good)
    assert direction.layer == 5
    assert direction.reason.endswith("Steering there is untested.")
    assert (probe.unit, probe.last) == ("point", 11)
    # The value is read on other groups than those that chose the layer.
    assert probe.value == pytest.approx(0.8, abs=0.01)
    assert probe.lo < probe.value < probe.hi


def test_a_direction_needs_a_block_after_its_point():
    rising = np.linspace(0.5, 0.9, 12)
    direction = chosen(advice_on(planting.drawn_curve(rising, spread=0.002)), Purpose.DIRECTION)
    assert direction.layer is None
    assert "no block follows" in direction.reason
    wide = chosen(advice_on(planting.drawn_curve(rising, spread=0.05)), Purpose.DIRECTION)
    assert 0 < wide.layer < 11
    assert not {0, 11} & set(wide.as_good)


@pytest.mark.parametrize("component", ["attn", "mlp"])
def test_a_direction_is_of_the_residual_stream(component):
    rows = advice_on(planting.drawn_curve(PLATEAU), component=component)
    assert {row.purpose for row in rows} == {Purpose.PROBE, Purpose.EMBED}
    assert rows[0].unit == "block"


def test_no_signal_gives_no_layer():
    rows = advice_on(planting.drawn_curve(np.full(12, 0.5)))
    assert [row.layer for row in rows] == [None, None]
    assert all(row.as_good == () and math.isnan(row.value) for row in rows)
    # The reason says what could have been missed.
    assert "could have missed" in rows[0].reason
    assert str(rows[0]).startswith("item, probe: no point. No layer is shown to decode it.")


def test_embeddings_come_from_the_layer_that_serves_all_levels_that_decode():
    early = planting.drawn_curve(0.5 + 0.4 * np.exp(-(((np.arange(12) - 3) / 3) ** 2)), level="item")
    late = planting.drawn_curve(0.5 + 0.4 * np.exp(-(((np.arange(12) - 7) / 3) ** 2)), level="relation")
    noise = planting.drawn_curve(np.full(12, 0.5), level="analogy")
    row = chosen(advice_on(early, late, noise), Purpose.EMBED, "all")
    assert row.layer == 5
    assert "item, relation" in row.reason
    assert "analogy" not in row.reason
    assert (row.metric, row.chance) == (SHARE, 0.0)
    assert row.value == pytest.approx(0.8 * math.exp(-4 / 9), abs=0.02)


def test_tasks_have_their_own_layers_where_a_level_has_several():
    level = planting.drawn_curve(PLATEAU)
    tasks = [dataclasses.replace(level, task=name) for name in ("edible", "animal")]
    rows = advice_on(level, *tasks)
    assert {row.subject for row in rows} == {"item", "edible", "animal", "all"}
    assert {row.subject for row in advice_on(level, tasks[0])} == {"item", "all"}


def test_recommendations_come_back_as_they_were_written(tmp_path):
    rows = advice_on(planting.drawn_curve(PLATEAU), planting.drawn_curve(np.full(12, 0.5), level="analogy"))
    assert write_recommendations(tmp_path, rows, RULES) == FILE
    again = read_recommendations(tmp_path)
    assert [str(row) for row in again] == [str(row) for row in rows]
    assert again[0] == rows[0]
    kept = json.loads((tmp_path / FILE).read_text())
    assert kept["rules"] == RULES
    kept["recommendations"][0]["layer"] = 3
    (tmp_path / FILE).write_text(json.dumps(kept))
    with pytest.raises(StoreError, match="was changed or damaged"):
        read_recommendations(tmp_path)


def test_a_point_that_an_older_run_named_without_testing_it_is_one_for_a_direction(tmp_path):
    (row,) = (row for row in advice_on(planting.drawn_curve(PLATEAU)) if row.purpose == Purpose.DIRECTION)
    older = [dataclasses.replace(row, purpose=Purpose.STEER), dataclasses.replace(row, purpose="steer", method="steer")]
    write_sealed(tmp_path / FILE, {"format": 1, "rules": {}, "recommendations": as_records(older)})
    assert [each.purpose for each in read_recommendations(tmp_path)] == [Purpose.DIRECTION, Purpose.STEER]


def test_a_run_of_an_older_version_is_told_what_to_do(tmp_path):
    with pytest.raises(StoreError, match=r"no recommendations.json .* run the study again"):
        read_recommendations(tmp_path)


def test_the_terminal_gets_two_lines_at_most():
    rows = advice_on(planting.drawn_curve(PLATEAU), planting.drawn_curve(np.full(12, 0.5), level="analogy"))
    lines = summary_lines(rows)
    assert len(lines) == 2
    assert lines[0].startswith("point to probe (as good, 95% confidence): item ")
    assert lines[0].endswith(", analogy none")
    assert lines[1].startswith("point to take a direction from, steering untested (as good, 95% confidence): item ")


def test_a_report_starts_with_whole_levels_of_the_residual_stream():
    curve = planting.drawn_curve(PLATEAU)
    rows = [
        recommend(dataclasses.replace(curve, component=component, task=task), Purpose.PROBE, Choice(reason="", layer=1))
        for component in ("mlp", "resid")
        for task in ("all", "edible")
    ]
    assert main_recommendations(rows) == [rows[2]]
    assert main_recommendations(rows[:2]) == [rows[0]]
    assert main_recommendations([]) == []


@pytest.mark.parametrize(
    ("numbers", "words"), [((3, 4, 5, 8), "3-5, 8"), ((2,), "2"), ((), ""), ((0, 2, 4), "0, 2, 4")]
)
def test_numbers_are_shown_as_ranges(numbers, words):
    assert ranges(numbers) == words


def test_the_layer_to_probe_is_chosen_from_all_wordings_and_its_value_read_in_the_runs_own():
    """In the run's own wording layer 2 is best, in two others layer 4; a direction is of the run's own wording."""
    own = planting.drawn_curve([0.5, 0.6, 0.9, 0.7, 0.8, 0.6], spread=0.01)
    others = [planting.drawn_curve([0.5, 0.6, 0.6, 0.7, 0.9, 0.6], spread=0.01) for _ in range(2)]
    peaks = peak_findings([own], planting.PHRASING)

    def chosen(wordings: list[planting.Curve], component: str = own.component) -> dict[str, Recommendation]:
        of = Beside(reworded={(own.level, own.task, component): wordings})
        return {row.purpose: row for row in recommendations([own], peaks, planting.PHRASING, of)}

    alone, together = chosen([]), chosen(others)
    assert alone[Purpose.PROBE].layer == 2
    assert together[Purpose.PROBE].layer == 4
    assert together[Purpose.PROBE].value == pytest.approx(0.8, abs=0.02)
    assert together[Purpose.DIRECTION] == alone[Purpose.DIRECTION]
    # Curves of another component say nothing of this one.
    assert chosen(others, "mlp") == alone
