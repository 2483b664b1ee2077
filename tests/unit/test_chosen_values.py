"""The value beside a recommended layer is not raised by the choice of the layer, for every purpose.

Planted: all layers are equally good, and each has noise of its own beside what the layers share, since they read the
same texts. The values of the layers that are recommended then have the mean of the truth, and their intervals hold it
in 95 %. The score of the recommended layer itself, on the groups that chose it, does neither (the negative control).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import planting
from layeratlas.runs.recommendation import Purpose, Recommendation
from layeratlas.stats.chosen import value_on_curve
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.causal import recommending as steering
from layeratlas.studies.causal.effects import Measured, Reading, set_effects
from layeratlas.studies.causal.names import Edited
from layeratlas.studies.causal.settings import CausalSettings
from layeratlas.studies.exits import recommending as exiting
from layeratlas.studies.exits.curves import ExitCurve
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.recommending import recommendations
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.recommending import pruning

LAYERS, GROUPS, RUNS = 13, 80, 1000
NAMES = [f"g{i}" for i in range(GROUPS)]
# Layers share 0.7 of the variance of a group's scores, and neighbours more.
LAGS = np.abs(np.subtract.outer(range(LAYERS), range(LAYERS)))
MIXED = np.linalg.cholesky(0.7 + 0.3 * 0.7**LAGS)


class Shown(NamedTuple):
    """A recommendation, and the naive value: that of its layer on the groups that chose it."""

    row: Recommendation
    naive: float


def noise(seed: int, spread: float) -> np.ndarray:
    """Scores of the groups around the truth, (G, P)."""
    return spread * np.random.default_rng([seed, 29]).standard_normal((GROUPS, LAYERS)) @ MIXED.T


def sample_of(by_group: np.ndarray, seed: int, bootstrap: int = 300) -> Sample:
    resampler = Resampler(NAMES, bootstrap, seed)
    weights = resampler.weights(NAMES)
    return split_draws(weights @ by_group / np.maximum(weights.sum(1, keepdims=True), 1), resampler)


def curve_of(seed: int, truth: float, level: str = "item") -> Curve:
    sample = sample_of(truth + noise(seed, 0.25), seed)
    curve = planting.drawn_curve(sample.estimate, level=level)
    draws = widened(sample.estimate, sample.draws, GROUPS, times=1.0)  # as in a run
    return dataclasses.replace(curve, **sample._replace(draws=draws)._asdict(), n_groups=GROUPS, n=400)


def decoded(purpose: Purpose) -> Callable[[int], Shown]:
    def run(seed: int) -> Shown:
        curves = [curve_of(2 * seed, 0.75), curve_of(2 * seed + 1, 0.75, level="relation")]
        rows = recommendations(curves, peak_findings(curves, planting.PHRASING), planting.PHRASING)
        row = next(row for row in rows if row.purpose == purpose)
        if row.layer is None:  # no inner point is among the best
            return Shown(row, np.nan)
        scores = np.mean([curve.estimate for curve in curves], 0) if purpose == Purpose.EMBED else curves[0].estimate
        naive = float(scores[row.layer])
        return Shown(row, (naive - 0.5) / 0.5 if purpose == Purpose.EMBED else naive)

    return run


def exited(seed: int) -> Shown:
    curve, control = curve_of(seed, 0.75), np.full((300, LAYERS), 0.25)
    fields = {field.name: getattr(curve, field.name) for field in dataclasses.fields(Curve)}
    curve = ExitCurve(
        **fields
        | {
            "chance": 0.25,
            "baseline": 0.25,
            "shuffles": control,
            "baseline_draws": np.full(300, 0.25),
            "evident": False,
            "control_a": control[:200],
            "control_b": control[:200],
        }
    )
    (row,) = exiting.recommendations([curve], {"item"})
    return Shown(row, float(curve.estimate[row.layer]))


def pruned(seed: int) -> Shown:
    # The mean of exp(x) is exp(variance / 2).
    by_passage = 0.3 * np.exp(noise(seed, 0.4) - 0.4**2 / 2)
    sample = sample_of(by_passage, seed)
    skipped = Estimate(value=sample.estimate, draws=sample.draws, passages=GROUPS)
    row = pruning(skipped, sample)
    return Shown(row, float(sample.estimate[row.layer]))


def steered(seed: int) -> Shown:
    logits = np.zeros((GROUPS, LAYERS, len(Edited), 2))
    logits[:, :, list(Edited).index(Edited.STEER), 1] = 1.5 + noise(seed, 1.5)
    reading = Reading(gain=Effect(estimate=0.0, lo=-0.1, hi=0.1, p=1.0), chance=0.5, left=0.5, shuffled=0.5)
    codes, clean = np.zeros(GROUPS, int), np.zeros((GROUPS, 2))
    measured = Measured(clean=clean, edited=logits, edits=list(Edited), codes=codes, groups=NAMES)
    draws = Resampler(NAMES, 300, seed)
    effects = set_effects("item", measured, [reading] * LAYERS, range(LAYERS), CausalSettings(), draws)
    (row,) = steering.recommendations([effects], {"item"}, LAYERS - 1)
    return Shown(row, float(effects.steering.estimate[row.layer]))


PLANTED = {
    Purpose.PROBE: (decoded(Purpose.PROBE), 0.75, 1),
    Purpose.DIRECTION: (decoded(Purpose.DIRECTION), 0.75, 1),
    Purpose.EMBED: (decoded(Purpose.EMBED), 0.5, 1),
    Purpose.EXIT: (exited, 0.75, 1),
    Purpose.PRUNE: (pruned, 0.3, -1),
    Purpose.STEER: (steered, 1.5, 1),
}


def test_every_purpose_is_tested():
    assert set(PLANTED) == set(Purpose)


def shown_by(purpose: Purpose, runs: int) -> list[Shown]:
    run = PLANTED[purpose][0]
    shown = [run(seed) for seed in range(runs)]
    return [one for one in shown if one.row.layer is not None]


@pytest.mark.parametrize("purpose", PLANTED)
def test_a_choice_among_equal_layers_does_not_raise_its_value(purpose):
    shown, (_, truth, better) = shown_by(purpose, 40), PLANTED[purpose]
    values, naive = (np.array(numbers) for numbers in zip(*((one.row.value, one.naive) for one in shown), strict=True))
    assert abs(values.mean() - truth) < 3 * values.std() / np.sqrt(len(values))
    assert (better * (naive - values)).mean() > 0


@pytest.mark.truth
@pytest.mark.parametrize("purpose", PLANTED)
def test_the_interval_of_a_value_holds_the_truth_as_often_as_it_says(purpose):
    shown, (_, truth, better) = shown_by(purpose, RUNS), PLANTED[purpose]
    values, naive = (np.array(numbers) for numbers in zip(*((one.row.value, one.naive) for one in shown), strict=True))
    error = values.std() / np.sqrt(len(values))
    held = np.mean([one.row.lo < truth < one.row.hi for one in shown])
    print(f"{purpose}: {values.mean():.4f} of {truth}, error {error:.4f}, held {held:.1%}, naive {naive.mean():.4f}")
    assert abs(values.mean() - truth) < 3 * error
    assert 0.93 <= held <= 0.97
    assert better * (naive.mean() - truth) > 3 * error  # the negative control


def test_a_chosen_value_has_the_factor_of_its_own_layer_though_controls_stand_beside():
    values = np.array([0.6, 0.8, 0.7, 0.5, 0.5, 0.5])  # three layers, and their controls, which have no factor

    def width(times: float | np.ndarray) -> float:
        curve = planting.drawn_curve(values, spread=0.03, times=times)
        _, lo, hi = value_on_curve(curve, 1, lambda both: np.where(np.arange(6) == 1, 1.0, 0.0) + 0 * both)
        return hi - lo

    assert width(np.array([9.0, 1.0, 9.0])) == pytest.approx(width(1.0))
    assert width(np.array([1.0, 1.5, 1.0])) != pytest.approx(width(1.0), rel=1e-3)
