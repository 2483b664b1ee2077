"""Control tasks: random labels per word, and the selectivity of probes that memorise words or read a property."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import planting
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design
from layeratlas.stats.curves import ReferenceKind, level_curve
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.curves import task_curves

SPEC = planting.LIGHT.model_copy(update={"repeats": 1, "shuffles": 20})
WORDS, WIDTH = 24, 64


def recurring(groups: int = 40, per_group: int = 6) -> Dataset:
    """Return texts whose words recur in many groups; the class of a text is the class of its word."""
    rng = np.random.default_rng(3)
    items = []
    for group in range(groups):
        for word in rng.choice(WORDS, per_group, replace=False):
            items.append(Item(f"text {group} of w{word}.", f"class {word % 2}", f"g{group}"))
    return Dataset("words", "word", tuple(items))


def reference(data: Dataset, x: np.ndarray, metric: str = "accuracy"):
    """Return the curve of one layer's vectors and its control task."""
    first = planting.probed(data, [x], SPEC)[0]
    design = make_design(data, SPEC, 0)
    tasks = planting.probe_layer(x, design, ["ridge"])[0].control_tasks
    first = dataclasses.replace(first, control_tasks=tasks[None])
    sampler = Resampler([item.group for item in data.items], SPEC.bootstrap, 0)
    curve = next(c for c in task_curves(first, sampler) if c.metric == metric and c.stratum == "all")
    return curve, curve.references[ReferenceKind.CONTROL_TASK]


def test_texts_of_one_word_have_one_label_and_parts_keep_their_classes():
    data = planting.planted_data(120)
    design = make_design(data, SPEC, 0)
    words = make_design(recurring(), SPEC, 0)
    for word in range(WORDS):
        rows = words.data.words == word
        assert (words.control_tasks[:, rows] == words.control_tasks[:, rows][:, :1]).all()
    for fold in design.folds:
        assert (np.sort(design.control_tasks[:, fold.test], 1) == np.sort(design.y[fold.test])).all()
    assert len({tuple(labels) for labels in design.control_tasks}) == len(design.control_tasks)


def test_a_probe_that_memorises_words_has_no_selectivity():
    data = recurring()
    identity = np.random.default_rng(0).standard_normal((WORDS, WIDTH))
    curve, task = reference(data, identity[data.words])
    assert curve.estimate[0] == pytest.approx(1, abs=0.01)
    assert task.estimate[0] == pytest.approx(1, abs=0.02)
    assert abs(task.gain[0]) < 0.02
    lo, hi = task.gain_interval
    assert lo[0] <= 0.0 <= hi[0] + 1e-9


def test_a_probe_that_reads_a_property_alone_is_selective():
    """Two vectors, one per class: at best a control task is solved as often as the labels happen to agree."""
    data = recurring()
    side = np.where(data.y == 1, 1.0, -1.0)[:, None] * np.ones(WIDTH)
    curve, task = reference(data, side)
    assert curve.estimate[0] == pytest.approx(1, abs=0.01)
    assert task.estimate[0] < 0.65
    assert task.gain_interval[0][0] > 0.3


def test_words_that_never_recur_leave_control_tasks_at_chance():
    data = planting.planted_data(160)
    x = planting.activations(data, [1.5], width=WIDTH)[0]
    curve, task = reference(data, x)
    assert task.estimate[0] == pytest.approx(0.5, abs=0.03)
    assert task.gain[0] == pytest.approx(curve.estimate[0] - task.estimate[0])


def test_where_all_texts_end_alike_units_take_the_place_of_words():
    items = [
        Item(f"{unit} {i} the end.", f"class {unit % 2}", f"g{unit}", unit=f"u{unit}")
        for i in (0, 1)
        for unit in range(6)
    ]
    data = Dataset("ends", "ends", tuple(items))
    assert len(set(data.words)) == 6


def test_a_level_has_the_mean_selectivity_of_its_tasks():
    data = recurring()
    rng = np.random.default_rng(1)
    curves = [reference(data, rng.standard_normal((len(data.items), 8)))[0] for _ in range(2)]
    mean = level_curve(curves, 40).references[ReferenceKind.CONTROL_TASK]
    expected = np.mean([c.references[ReferenceKind.CONTROL_TASK].gain for c in curves], 0)
    assert mean.gain == pytest.approx(expected)
    plain = dataclasses.replace(curves[1], references={})
    assert level_curve([curves[0], plain], 40).references == {}
