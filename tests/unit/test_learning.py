"""Learning curves: a planted asymptote is found, and too few texts are told from nothing to decode."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import planting
import small_runs
from layeratlas.probes import dimension_scores, make_design, subset_scores, training_of
from layeratlas.stats.learning import Reading, fit_power_law, forecast
from layeratlas.stats.measures import accuracy

SIZES = np.array([25.0, 50.0, 100.0, 150.0, 200.0])
SPEC = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 20})


def planted(asymptote: float, scale: float, rate: float, spread: float, seed: int):
    """Return a learning curve with noise that its points share in part, and bootstrap draws around it."""
    rng = np.random.default_rng(seed)

    def noise(rows: int) -> np.ndarray:
        common = rng.standard_normal((rows, 1))
        return spread * (0.8 * common + 0.6 * rng.standard_normal((rows, len(SIZES))))

    values = asymptote - scale * SIZES**-rate + noise(1)[0]
    return values, values + noise(300)


def test_a_power_law_is_fitted_exactly_and_never_falls_or_passes_its_limit():
    curves = np.stack([0.9 - 1.2 * SIZES**-0.5, 0.7 + 0.0 * SIZES, 0.8 - 0.001 * SIZES, 1.3 - 2.0 * SIZES**-0.3])
    law = fit_power_law(SIZES, curves)
    assert law.asymptote[:2] == pytest.approx([0.9, 0.7], abs=0.02)
    assert (law.scale >= 0).all()
    assert (law.asymptote <= 1).all()


def test_a_known_asymptote_is_inside_its_interval():
    inside = 0
    for seed in range(60):
        ahead = forecast(SIZES, *planted(0.85, 1.5, 0.6, 0.015, seed), chance=0.5)
        inside += ahead.lo <= 0.85 <= ahead.hi
    assert inside >= 52


@pytest.mark.parametrize(
    ("asymptote", "scale", "spread", "reading"),
    [
        (0.85, 1.0, 0.015, Reading.DECODED),
        (0.50, 0.0, 0.002, Reading.NOT_DECODED),
        (0.53, 0.0, 0.05, Reading.UNDECIDED),
    ],
)
def test_readings_follow_the_curve(asymptote, scale, spread, reading):
    readings = [forecast(SIZES, *planted(asymptote, scale, 0.5, spread, s), chance=0.5).reading for s in range(20)]
    assert readings.count(reading) >= 15


def test_a_curve_that_still_rises_from_chance_asks_for_more_texts():
    ahead = forecast(SIZES, *planted(0.95, 5.8, 0.5, 0.02, 0), chance=0.5)
    assert ahead.reading in (Reading.DECODED, Reading.TOO_FEW_TEXTS)
    assert 25 < ahead.needed < 400


def test_more_texts_and_more_dimensions_decode_better():
    data = planting.planted_data(240)
    x = planting.activations(data, [2.0], width=60)[0]
    design = make_design(data, SPEC, 0)

    def right(scores):
        return float(accuracy(scores, design.y, np.ones((1, len(design.y)))).mean())

    few, many = (subset_scores(x, design, "ridge", share, 4, 0) for share in (0.1, 1.0))
    assert right(few) < right(many) - 0.05
    by_dimension = dimension_scores(x, design, "ridge", (2, 8, 40, 500))
    assert set(by_dimension) == {2, 8, 40}
    assert right(many[:1]) >= right(by_dimension[2]) - 0.02


def test_all_components_are_all_dimensions():
    data = planting.planted_data(100)
    x = planting.activations(data, [1.0], width=10)[0]
    design = make_design(data, SPEC, 0)
    whole = subset_scores(x, design, "ridge", 1.0, 1, 0)[0]
    assert dimension_scores(x, design, "ridge", (10,))[10][0] == pytest.approx(whole, abs=1e-8)


def test_training_counts_for_less_where_it_moves_the_scores_less():
    """Two directions, one with the label: all training texts agree on them. One repeat cannot show that."""
    data = planting.planted_data(120)
    x = planting.activations(data, [1.5], width=200)[0].copy()
    design = make_design(data, SPEC.model_copy(update={"repeats": 2}), 0)
    x[:, 0] += 1.5 * np.where(design.y == 1, 1.0, -1.0)
    factors = {
        (number, repeats): float(training_of(scores, design))
        for repeats in (1, 2)
        for width, number in ((2, 2), (200, 90))
        for scores in dimension_scores(x[:, :width], design, "ridge", (number,), repeats).values()
    }
    assert factors[2, 2] < factors[2, 1] - 0.03  # negative control: as much of its margins as adds most
    assert factors[2, 2] < factors[90, 2] - 0.03


def test_a_share_without_all_classes_has_no_scores():
    data = planting.planted_data(40, classes=8)
    x = planting.activations(data, [1.0])[0]
    assert subset_scores(x, make_design(data, SPEC, 0), "ridge", 0.1, 1, 0) is None


def test_a_run_keeps_its_learning_curves_and_draws_them(tiny_model_dir, tmp_path):
    run = small_runs.warm_and_cold(tiny_model_dir, tmp_path, 24, learning_curves=True)
    points = pl.read_parquet(run.folder / "learning.parquet")
    assert set(points["role"]) == {"peak layer", "last layer"}
    assert set(points["axis"]) == {"training texts", "dimensions"}
    forecasts = pl.read_parquet(run.folder / "forecasts.parquet")
    assert set(forecasts["reading"]) <= {reading.value for reading in Reading}
    assert len(forecasts) == 2
    assert (run.draw_figures() / "learning-texts.svg").is_file()
