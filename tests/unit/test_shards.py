"""Sums over shards give what all rows in memory give; a sample of whole groups is what they are tested on."""

from __future__ import annotations

import numpy as np
import pytest

from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import make_design, probe_layer, probe_shards, sample_groups
from layeratlas.probes._dual import held_out_scores, label_columns, split_gram
from layeratlas.probes._moments import Moments
from layeratlas.probes.ridge import Ridge

N, WIDTH = 240, 12


def problem(classes: int, seed: int = 0):
    """Vectors (N, WIDTH) with means and scales of their own, a constant feature, labels and groups of three."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, WIDTH)) @ rng.standard_normal((WIDTH, WIDTH)) + 50 * rng.standard_normal(WIDTH)
    x[:, 3] = 7.0
    signal = (x - x.mean(0)) @ rng.standard_normal(WIDTH) + 4 * rng.standard_normal(N)
    y = signal if classes == 0 else np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    return x.astype(np.float32), y.astype(float), np.arange(N) // 3


def dataset(y, groups, classes: int) -> Dataset:
    items = [
        Item(text=f"text {i}", label=f"c{int(v)}" if classes else float(v), group=f"g{g:03d}")
        for i, (v, g) in enumerate(zip(y, groups, strict=True))
    ]
    return Dataset(name="some", level="item", items=tuple(items), kind="classes" if classes else "number")


def parts(x, seed: int = 1):
    rng = np.random.default_rng(seed)
    for rows in np.split(rng.permutation(len(x)), sorted(rng.choice(len(x), 7, replace=False))):
        yield rows, x[rows]


def test_moments_of_parts_add_up_far_from_zero():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 5)) + 1e6, rng.standard_normal((300, 2))
    whole = Moments.of(x, y)
    cuts = [Moments.of(a, b) for a, b in zip(np.split(x, [1, 1, 90]), np.split(y, [1, 1, 90]), strict=True)]
    summed = sum(cuts, start=Moments.of(x[:0], y[:0]))
    assert summed.n == 300
    for name in ("x", "y", "xx", "xy"):
        np.testing.assert_allclose(getattr(summed, name), getattr(whole, name), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(summed.xx, np.cov(x.T, bias=True) * 300, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_sample_of_everything_is_the_probe_in_memory(classes):
    x, y, groups = problem(classes)
    design = make_design(dataset(y, groups, classes), ProbeSpec(repeats=2, shuffles=20, folds=3), seed=0)
    rows = np.arange(N)
    found = probe_shards(parts(x), y, rows, design, ["ridge"])[0]
    expected = probe_layer(x.astype(float), design, ["ridge"])[0]
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(found.shuffled, expected.shuffled)


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("penalty", [1.0, 1e3])
def test_ridge_is_that_of_all_texts_in_memory(classes, penalty):
    x, y, groups = problem(classes)
    rows = sample_groups(groups, 60, seed=3)
    spec = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, folds=3, penalties=(penalty,))
    design = make_design(dataset(y[rows], groups[rows], classes), spec, seed=0)
    found = probe_shards(parts(x), y, rows, design, ["ridge"])[0].scores[0]
    rest = np.setdiff1d(np.arange(N), rows)
    columns = label_columns(y, classes)
    for fold in design.folds:
        train = np.concatenate([rest, rows[fold.train]])
        gram = split_gram(x.astype(float), train, rows[fold.test])
        expected = held_out_scores(Ridge((penalty,)), gram, columns[train])
        np.testing.assert_allclose(found[fold.test], expected, atol=1e-6)
    flipped = y.copy()
    flipped[rest] = y[rest].max() - y[rest]
    other = probe_shards(parts(x), flipped, rows, design, ["ridge"])[0].scores[0]
    assert np.abs(other - found).max() > 0.1  # texts outside the sample train


def test_the_penalty_is_the_one_of_least_error_on_texts_left_out():
    x, y, groups = problem(0)
    design = make_design(dataset(y, groups, 0), ProbeSpec(repeats=1, shuffles=20, folds=3), seed=0)
    noise = np.random.default_rng(5).standard_normal(x.shape).astype(np.float32)
    weak = probe_shards(parts(noise), y, np.arange(N), design, ["ridge"])[0].scores[0, :, 0]
    strong = probe_shards(parts(x), y, np.arange(N), design, ["ridge"])[0].scores[0, :, 0]
    assert np.ptp(weak) < 0.2 * np.ptp(y)  # shrunk to the mean
    assert np.corrcoef(strong, y)[0, 1] > 0.8


def test_a_sample_is_of_whole_groups_and_about_as_large_as_asked_for():
    groups = np.repeat(np.arange(100), np.arange(100) % 7 + 1)
    rows = sample_groups(groups, 80, seed=0)
    assert 80 <= len(rows) < 87
    assert set(groups[rows]).isdisjoint(np.delete(groups, rows))
    assert np.array_equal(rows, np.sort(rows))
    assert not np.array_equal(rows, sample_groups(groups, 80, seed=1))
    assert len(sample_groups(groups, 10**6, seed=0)) == len(groups)
    with pytest.raises(DataError, match="one group"):
        sample_groups(groups, 1, seed=0)


def test_labels_that_are_not_the_samples_are_refused():
    x, y, groups = problem(2)
    rows = sample_groups(groups, 60, seed=3)
    design = make_design(dataset(y[rows], groups[rows], 2), ProbeSpec(repeats=1, shuffles=20, folds=3), seed=0)
    with pytest.raises(DataError, match="not those of its data set"):
        probe_shards(parts(x), 1 - y, rows, design, ["ridge"])
    with pytest.raises(DataError, match="no vectors"):
        probe_shards([], y, rows, design, ["ridge"])
