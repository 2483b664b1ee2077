"""Shuffled labels of groups of different sizes keep the balance of the classes, so the control is at chance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom

from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import label_shuffles, make_design, make_folds, probe_layer
from layeratlas.stats.measures import measures_for

# A class of many small groups and two of few large ones, with as many texts.
UNLIKE = {"a": [1] * 24 + [2] * 18 + [3] * 6, "b": [4] * 20, "c": [4] * 20}
ALIKE = {"a": [3] * 20, "b": [3] * 20}
SPEC = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20)


def texts(sizes: dict[str, list[int]]) -> Dataset:
    items = [
        Item(text=f"{label} {group} {i}", label=label, group=f"{label}{group}")
        for label, groups in sizes.items()
        for group, size in enumerate(groups)
        for i in range(size)
    ]
    return Dataset("texts", "texts", tuple(items))


@pytest.mark.parametrize("sizes", [UNLIKE, ALIKE])
def test_every_test_set_keeps_its_classes(sizes: dict[str, list[int]]) -> None:
    data = texts(sizes)
    folds = make_folds(data, 5, 1, 0)
    largest = max(size for groups in sizes.values() for size in groups)
    for order in label_shuffles(data, folds, 20, 0):
        shuffled = data.y[order]
        for fold in folds:
            counts, kept = Counter(data.y[fold.test].tolist()), Counter(shuffled[fold.test].tolist())
            assert all(abs(counts[label] - kept[label]) <= (0 if sizes is ALIKE else largest) for label in counts)
        labels_of_group = [set(shuffled[data.groups == group].tolist()) for group in range(data.groups.max() + 1)]
        assert all(len(labels) == 1 for labels in labels_of_group)
    orders = label_shuffles(data, folds, 200, 1)
    small = np.array([data.y[orders[:, row]] for row in range(24)])  # small groups get all labels
    assert np.allclose([(small == label).mean() for label in range(len(sizes))], 1 / len(sizes), atol=0.06)


def p_of_nothing(data: Dataset, seed: int) -> tuple[float, float]:
    """Return the p-value and the mean control of vectors that have something of their group, and nothing of a label."""
    rng = np.random.default_rng(seed)
    own, shared = rng.standard_normal((2, len(data.y), 16))
    design = make_design(data, SPEC, seed)
    (probed,) = probe_layer((own + shared[data.groups]).astype(np.float32), design, ["ridge"])
    measure = next(iter(measures_for(data.kind, design.classes).values()))
    estimate = float(measure(probed.scores, design.y, np.ones((1, len(data.y)))).mean())
    control = probed.shuffled[0, 0]
    return (1 + float((control >= estimate - 1e-9).sum())) / (1 + len(control)), float(control.mean())


def test_the_control_of_vectors_without_a_label_is_at_chance_and_p_is_as_rare_as_it_says() -> None:
    """With whole groups permuted the control was at 0.51, and none of 200 such p-values was below 0.1."""
    found = np.array([p_of_nothing(texts(UNLIKE), seed) for seed in range(60)])
    assert abs(found[:, 1].mean() - 1 / 3) < 0.02
    for level in (0.1, 0.3):
        low = int((found[:, 0] <= level + 1e-9).sum())
        assert binom.ppf(0.001, len(found), level * 0.8) <= low <= binom.ppf(0.999, len(found), level)
