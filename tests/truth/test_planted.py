"""Planted peaks, orders and declines are found and noise gives none, from activations to findings as in a run."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import norm

import planting
from layeratlas.core import registry
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec
from layeratlas.probes import make_design, probe_layer, surface_baseline
from layeratlas.stats.peaks import find_peak
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves
from layeratlas.studies.hierarchy.findings.decline import decline_finding
from layeratlas.studies.hierarchy.findings.order import order_findings
from layeratlas.studies.hierarchy.findings.peaks import peak_findings

LAYERS = 7
QUICK = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 40})
FULL = ProbeSpec(methods=("ridge",), folds=5, repeats=2, shuffles=99, bootstrap=200)


def at_one_layer(layer, strength=3.0, layers=LAYERS):
    return [strength * (i == layer) for i in range(layers)]


def hump(layer, strength=3.0, layers=LAYERS):
    return [strength * float(np.exp(-(((i - layer) / 1.5) ** 2))) for i in range(layers)]


@pytest.mark.parametrize("layer", [0, 3, LAYERS - 1])
def test_a_direction_added_at_one_layer_only_is_the_reported_peak(layer):
    curve = planting.planted_curve(planting.planted_data(), at_one_layer(layer), QUICK, seed=layer)
    peak = find_peak(curve)
    assert peak.layer == peak.first == peak.last == layer
    # The two directions are opposite unit vectors, so the classes are 2 x 3 apart: no reader beats Phi(3).
    assert 0.9 < peak.value <= 1
    assert abs(np.delete(curve.estimate, layer) - 0.5).max() < 0.2
    (finding,) = peak_findings([curve], planting.PHRASING)
    assert finding.verdict == "supported"
    assert finding.estimate == layer / (LAYERS - 1)


def test_the_svm_finds_it_too():
    spec = planting.LIGHT.model_copy(update={"methods": ("svm",), "repeats": 1})
    curve = planting.planted_curve(planting.planted_data(80), at_one_layer(4), spec)
    assert find_peak(curve).layer == 4
    assert peak_findings([curve], planting.PHRASING)[0].verdict == "supported"


def test_a_planted_order_of_levels_is_supported_and_its_reverse_is_not():
    data = {name: planting.planted_data(level=name) for name in ("item", "relation", "analogy")}
    peaks = {"item": 1, "relation": 3, "analogy": 5}
    curves = [planting.planted_curve(data[name], hump(at), QUICK, seed=at) for name, at in peaks.items()]
    assert [find_peak(curve).layer for curve in curves] == [1, 3, 5]
    assert [f.verdict for f in order_findings(curves, set(peaks), planting.PHRASING)] == ["supported", "supported"]
    assert [f.verdict for f in order_findings(curves[::-1], set(peaks), planting.PHRASING)] == [
        "not supported",
        "not supported",
    ]


def same_layer_pairs(pairs, top):
    """Return in how many pairs of levels with one shape an order is found; scores are drawn, not fitted."""
    spec = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 20})
    designs = [make_design(planting.planted_data(level=name), spec, 0) for name in ("item", "relation")]
    shape = np.array(hump(6, top, 13))[:, None]
    count = 0
    for seed in range(pairs):
        rng = np.random.default_rng(seed)
        curves = []
        for i, design in enumerate(designs):
            side = np.where(design.y == 1, 1, -1)
            scores = side * (shape + rng.standard_normal((13, len(side))))
            probed = planting.probed_from(design, scores[:, None, :, None], np.full((13, 1, 3, 20), 0.5))
            sampler = Resampler([item.group for item in design.data.items], 200, seed + i, halves=5)
            curves.append(task_curves(probed, sampler)[0])
        count += order_findings(curves, {"item", "relation"}, planting.PHRASING)[0].verdict == "supported"
    return count


@pytest.mark.parametrize("top", [1.0, 1.5])
def test_levels_planted_at_the_same_layer_have_no_order_in_nearly_all_draws(top):
    assert same_layer_pairs(40, top) <= 3


def test_a_planted_decline_is_supported_and_a_plateau_is_not():
    fall = planting.planted_curve(planting.planted_data(), [0, 1, 3, 2, 1, 0.5, 0], QUICK)
    assert decline_finding(fall, planting.PHRASING).verdict == "supported"
    plateau = planting.planted_curve(planting.planted_data(), [0, 1, 2, 3, 3, 3, 3], QUICK)
    assert decline_finding(plateau, planting.PHRASING).verdict != "supported"


def false_peaks(seeds, data, spec, layers, width):
    """Return in how many draws of pure noise any of the curves is said to have a peak."""
    count = 0
    for seed in range(seeds):
        curve = planting.planted_curve(data, [0.0] * layers, spec, seed, width)
        count += peak_findings([curve], planting.PHRASING)[0].verdict == "supported"
    return count


@pytest.mark.parametrize(
    "data",
    [planting.planted_data(60), planting.planted_data(60, 4, mixed=True), planting.planted_data(75, 3)],
    ids=["single", "mixed", "groups"],
)
def test_on_noise_no_peak_is_found_in_nearly_all_draws(data):
    """At a family-wise rate of 5 %, four or more of 20 happen once in 60 times."""
    assert false_peaks(20, data, QUICK, layers=5, width=6) <= 3


def normal_scores(y, groups, reps, rng, shared=0.0):
    """Scores whose sign is right with probability Phi(.7); `shared` of their variance is the group's own."""
    noise = rng.standard_normal((reps, len(y))) * np.sqrt(1 - shared)
    noise += np.sqrt(shared) * rng.standard_normal((reps, groups.max() + 1))[:, groups]
    alike = (np.where(y == 1, 1, -1) * (0.7 + noise))[:, None, :, None]
    # Two repeats that score alike: no score depends on the texts of the training.
    return np.repeat(alike, 2, axis=1)


def coverage(data, groups, shared, seed=0, reps=300):
    """Return the share of 95 % intervals that hold the true accuracy; every `layer` is a draw of its own."""
    design = make_design(data, planting.LIGHT.model_copy(update={"repeats": 2, "shuffles": 20}), seed)
    scores = normal_scores(design.y, data.groups, reps, np.random.default_rng(seed), shared)
    probed = planting.probed_from(design, scores, np.full((reps, 1, 3, 20), 0.5))
    sampler = Resampler(groups, 400, seed)
    relabelled = dataclasses.replace(data, items=tuple(map(regroup, data.items, groups)))
    probed = dataclasses.replace(probed, design=dataclasses.replace(design, data=relabelled))
    curve = next(c for c in task_curves(probed, sampler) if c.metric == "accuracy")
    lo, hi = curve.interval
    return float(np.mean((lo <= norm.cdf(0.7)) & (norm.cdf(0.7) <= hi)))


def regroup(item, group):
    return dataclasses.replace(item, group=group)


def test_intervals_hold_the_true_accuracy():
    data = planting.planted_data(100)
    assert 0.90 <= coverage(data, [item.group for item in data.items], shared=0.0) <= 0.99


def test_intervals_hold_it_where_items_of_a_group_agree_because_groups_are_resampled():
    data = planting.planted_data(400, 8)
    assert 0.88 <= coverage(data, [item.group for item in data.items], shared=0.8) <= 0.99
    # Control: items resampled one by one would be far too sure.
    assert coverage(data, [item.text for item in data.items], shared=0.8) < 0.8


def test_relations_are_exactly_at_chance_at_point_0_and_for_words_alone(tiny_model_dir):
    """The last token is the second word, which stands equally often in both classes; so does every word."""
    from layeratlas.capture import Reading, capture, make_plan, store_shape
    from layeratlas.models import load
    from layeratlas.store import MemoryStore

    model = load(ModelSpec(id=str(tiny_model_dir), device="cpu"))
    (data,) = registry.get("tasks", "relations").build("quick")
    readings = [Reading(tuple(ids), (len(ids) - 1,)) for ids in map(model.encode, data.texts)]
    store = MemoryStore(store_shape(model, len(readings), CaptureSpec(components=("resid",))))
    capture(model, make_plan(readings, 2048), store)
    design = make_design(data, ProbeSpec(folds=5, repeats=2, shuffles=20), 0)
    points = [probe_layer(store.read("resid", i).astype(float), design, ["ridge"])[0].scores for i in (0, 3)]
    right = [np.mean(0.5 + 0.5 * np.sign(s[..., 0]) * np.where(design.y == 1, 1, -1)) for s in points]
    assert right[0] == 0.5
    assert len(np.unique(points[1])) > len(np.unique(points[0]))
    baseline = surface_baseline(design, [len(r.ids) for r in readings]).values
    assert 0.45 < baseline["accuracy"] < 0.56


@pytest.mark.truth
@pytest.mark.parametrize(("method", "draws", "most"), [("ridge", 40, 5), ("svm", 20, 3)])
def test_the_family_wise_rate_is_nominal_at_full_size(method, draws, most):
    """At a rate of 5 % more draws than `most` have a peak once in 60 times or less."""
    spec = FULL.model_copy(update={"methods": (method,), "repeats": 1})
    assert false_peaks(draws, planting.planted_data(100), spec, layers=8, width=128) <= most


@pytest.mark.truth
@pytest.mark.parametrize("layer", [0, 1, 4, 8, 11, 12])
def test_every_layer_can_be_the_peak_at_full_size(layer):
    curve = planting.planted_curve(planting.planted_data(200), at_one_layer(layer, 4.0, 13), FULL, layer, width=128)
    assert find_peak(curve).layer == layer
    assert peak_findings([curve], planting.PHRASING)[0].verdict == "supported"


@pytest.mark.truth
def test_a_false_order_is_rare_at_full_size():
    wrong = 0
    for seed in range(20):
        pair = [
            planting.planted_curve(planting.planted_data(200, level=level), hump(4, layers=9), FULL, 100 * i + seed)
            for i, level in enumerate(("item", "relation"))
        ]
        wrong += order_findings(pair, {"item", "relation"}, planting.PHRASING)[0].verdict == "supported"
    assert wrong <= 3
