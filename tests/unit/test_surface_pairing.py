"""A peak is compared with a surface baseline that is itself an estimate, from the same groups of texts."""

from __future__ import annotations

import dataclasses

import numpy as np

import planting
from layeratlas.probes import make_design, surface_baseline
from layeratlas.stats.curves import level_curve
from layeratlas.stats.measures import accuracy
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.findings.surface import surface_findings

DATA = planting.planted_data(120)
DESIGN = make_design(DATA, planting.LIGHT.model_copy(update={"repeats": 2, "shuffles": 20}), 0)
SIDE = np.where(DESIGN.y == 1, 1, -1)
TRIALS = 200


def curve_of(seed: int, gain: float = 0.0, kept: bool = True):
    """Return a curve of one layer that is as often right as its baseline, or more often by `gain` (in z).

    Both repeats score alike: no score depends on the texts of the training.
    """
    rng = np.random.default_rng(seed)
    model, surface = (
        np.repeat((SIDE * (0.7 + more + rng.standard_normal((1, len(SIDE)))))[:, None, :, None], 2, 1)
        for more in (gain, 0.0)
    )
    probed = planting.probed_from(DESIGN, model, np.full((1, 1, 3, 20), 0.5))
    scores = surface[0]
    value = float(accuracy(scores, DESIGN.y, np.ones((1, len(SIDE))))[0, 0])
    probed = dataclasses.replace(
        probed, component="attn", baseline={**probed.baseline, "accuracy": value}, baseline_scores=scores * kept
    )
    if not kept:
        probed = dataclasses.replace(probed, baseline_scores=None)
    sampler = Resampler([item.group for item in DATA.items], 200, seed, halves=5)
    return next(curve for curve in task_curves(probed, sampler) if curve.metric == "accuracy")


def supported(trials: int = TRIALS, **how) -> int:
    findings = (surface_findings([curve_of(seed, **how)], planting.PHRASING)[0] for seed in range(trials))
    return sum(finding.verdict == "supported" for finding in findings)


def test_a_peak_that_equals_its_baseline_beats_it_at_the_nominal_rate():
    """At 2.5 %, more than 11 of 200 happen once in 100 times."""
    assert supported() <= 11


def test_a_baseline_taken_as_known_would_be_beaten_too_often():
    """Negative control: draws without those of the baseline."""
    assert supported(kept=False) >= 12


def test_a_peak_that_is_better_beats_it():
    assert supported(30, gain=0.8) >= 27


def test_findings_are_corrected_by_holm():
    curve = curve_of(3, gain=0.6)
    (alone,), three = (surface_findings(curves, planting.PHRASING) for curves in ([curve], [curve] * 3))
    assert three[0].p == min(1.0, 3 * alone.p)


def test_the_baseline_of_a_level_is_resampled_with_its_tasks():
    curves = [curve_of(0), curve_of(1)]
    draws = level_curve(curves, 120).baseline_draws
    np.testing.assert_allclose(draws, (curves[0].baseline_draws + curves[1].baseline_draws) / 2)
    assert not level_curve([curves[0], curve_of(1, kept=False)], 120).baseline_draws.size


def test_the_kept_scores_are_those_of_the_best_features():
    baseline = surface_baseline(DESIGN, [len(text) for text in DATA.texts])
    value = accuracy(baseline.scores, DESIGN.y, np.ones((1, len(SIDE)))).mean()
    assert value == baseline.values["accuracy"]
