"""What other levels of a run say of a curve: the posterior of what they have in common, and the choice it helps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import planting
from layeratlas.data.items import Dataset, Item
from layeratlas.runs.recommendation import Purpose
from layeratlas.stats.best_layers import alike, choose, contrasts_of, noise_of
from layeratlas.stats.common_curve import common_curve
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.recommending import Beside, recommendations, sharing

POINTS = 13
LAGS = np.abs(np.subtract.outer(range(POINTS), range(POINTS)))
NOISE = np.linalg.cholesky(0.5 + 0.5 * 0.75**LAGS)


def bump(peak: float) -> np.ndarray:
    return 0.6 * np.exp(-(((np.arange(POINTS) - peak) / 5) ** 2))


def measured(truth: np.ndarray, spread: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An estimate and its bootstrap, with noise that neighbours share."""
    noise = spread * rng.standard_normal((151, POINTS)) @ NOISE.T
    return truth + noise[0], truth + noise[0] + noise[1:]


def test_the_common_curve_is_the_posterior_of_all_curves_together():
    """At one pair of variances: conditioning one Gaussian on the stacked curves, whose blocks share the common one."""
    rng = np.random.default_rng(0)
    curves = [measured(bump(peak), spread, rng) for peak, spread in ((4, 0.05), (6, 0.1), (9, 0.2))]
    contrasts, prior, size = contrasts_of(POINTS), alike(POINTS), POINTS - 1
    errors = [contrasts @ noise_of(draws) @ contrasts.T for _, draws in curves]
    variance = 2.0 * np.median([np.trace(error) / size for error in errors])
    stacked = np.kron(np.ones((3, 3)), variance * prior)
    for j, error in enumerate(errors):
        stacked[j * size : (j + 1) * size, j * size : (j + 1) * size] += variance * prior + error
    shared = np.tile(variance * prior, 3)
    seen = np.concatenate([contrasts @ estimate for estimate, _ in curves])
    found = common_curve(curves, ratios=np.array([2.0]))
    np.testing.assert_allclose(contrasts @ found.mean, shared @ np.linalg.solve(stacked, seen), atol=1e-8)
    expected = variance * prior - shared @ np.linalg.solve(stacked, shared.T)
    np.testing.assert_allclose(contrasts @ found.covariance @ contrasts.T, expected, atol=1e-8)


def regrets(peaks: np.ndarray, trials: int = 60) -> tuple[float, float]:
    """Mean shortfall of the first curve's chosen layer, alone and with the others; `peaks` (trials, curves)."""
    rng, lost = np.random.default_rng(1), []
    for trial in peaks[:trials]:
        curves = [measured(bump(peak), 0.15, rng) for peak in trial]
        (estimate, draws), truth = curves[0], bump(trial[0])
        noise, every = noise_of(draws), np.ones(POINTS, bool)
        chosen = [choose(estimate, noise, every, expected) for expected in (None, common_curve(curves[1:]))]
        lost.append([truth.max() - truth[layer] for layer in chosen])
    alone, together = np.mean(lost, 0)
    return float(alone), float(together)


def test_curves_that_peak_together_choose_better_than_each_alone():
    rng = np.random.default_rng(2)
    alone, together = regrets(rng.uniform(0, 12, (60, 1)) + 0.5 * rng.standard_normal((60, 8)))
    assert together < 0.7 * alone


def test_curves_that_have_nothing_in_common_do_no_harm():
    """The negative control: the common curve comes out flat, though each of the others has a clear peak."""
    alone, together = regrets(np.random.default_rng(3).uniform(0, 12, (60, 8)))
    assert together < 1.25 * alone


def test_one_curve_alone_has_nothing_to_expect():
    assert common_curve([]) is None
    assert common_curve([(np.array([0.7]), np.full((50, 1), 0.7))]) is None


def level(name: str, estimate: np.ndarray, spread: float = 0.01) -> planting.Curve:
    curve = planting.drawn_curve(estimate, level=name)
    rng = np.random.default_rng(len(name))
    noise = lambda rows: spread * rng.standard_normal((rows, POINTS)) @ NOISE.T  # noqa: E731
    half = len(curve.half_a)
    return dataclasses.replace(
        curve,
        draws=estimate + noise(len(curve.draws)),
        half_a=estimate + 1.4 * noise(half),
        half_b=estimate + 1.4 * noise(half),
    )


@pytest.mark.parametrize(("others", "layer"), [(0, 10), (4, 4)])
def test_a_level_of_two_equal_peaks_takes_the_one_of_the_other_levels(others, layer):
    """Alone it takes its own slightly higher one."""
    twin = 0.6 + np.maximum(0.15 * bump(4), 0.155 * bump(10))
    curves = [level("item", twin, 0.05), *(level(f"other{i}", 0.5 + 0.6 * bump(4)) for i in range(others))]
    rows = recommendations(curves, peak_findings(curves, planting.PHRASING), planting.PHRASING)
    row = next(row for row in rows if (row.level, row.purpose) == ("item", Purpose.PROBE))
    assert row.layer == layer
    assert {4, 10} <= set(row.as_good)


@pytest.mark.parametrize(("near", "layer"), [((0, 1, 2, 3), 10), ((), 4)])
def test_levels_of_the_same_texts_do_not_choose(near, layer):
    """They would show the noise of the groups that judge the choice; levels of other texts choose."""
    twin = 0.6 + np.maximum(0.15 * bump(4), 0.155 * bump(10))
    curves = [level("item", twin, 0.05), *(level(f"other{i}", 0.5 + 0.6 * bump(4)) for i in range(4))]
    shared = {"item": {"item", *(f"other{i}" for i in near)}}
    of = lambda some: recommendations(some, peaks_of(some), planting.PHRASING, Beside(shared=shared))  # noqa: E731
    row, alone = (next(row for row in of(some) if row.purpose == Purpose.PROBE) for some in (curves, curves[:1]))
    assert (row.level, row.layer, row == alone) == ("item", layer, bool(near))


def peaks_of(curves):
    return peak_findings(curves, planting.PHRASING)


def test_levels_share_texts_or_groups():
    def data(name: str, beginning: str, group: str) -> Dataset:
        items = (Item(f"{beginning} {i}", f"class {i % 2}", f"{group} {i}") for i in range(8))
        return Dataset(name, name, tuple(items))

    material = [data("a", "one", "x"), data("b", "one", "y"), data("c", "two", "x"), data("d", "three", "z")]
    assert sharing(material) == {"a": {"a", "b", "c"}, "b": {"a", "b"}, "c": {"a", "c"}, "d": {"d"}}
