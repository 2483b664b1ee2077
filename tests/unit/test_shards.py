"""Sums over shards give what all rows in memory give; a sample of whole groups is what they are tested on."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import (
    LargeSet,
    large_surface_baseline,
    make_design,
    probe_layer,
    probe_shards,
    sample_groups,
    surface_baseline,
)
from layeratlas.probes._dual import held_out_scores, label_columns, split_gram
from layeratlas.probes._large import OtherLabels
from layeratlas.probes._moments import Moments
from layeratlas.probes.ridge import Ridge
from layeratlas.stats.measures import measures_for

N, WIDTH = 240, 12


def problem(classes: int, seed: int = 0):
    """Vectors (N, WIDTH) with means and scales of their own, a constant feature, labels and groups of three."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((N, WIDTH)) @ rng.standard_normal((WIDTH, WIDTH)) + 50 * rng.standard_normal(WIDTH)
    x[:, 3] = 7.0
    signal = (x - x.mean(0)) @ rng.standard_normal(WIDTH) + 4 * rng.standard_normal(N)
    y = signal if classes == 0 else np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    return x.astype(np.float32), y.astype(float), np.arange(N) // 3


def dataset(y, groups, classes: int, texts=None) -> Dataset:
    items = [
        Item(text=texts[i] if texts else f"text {i}", label=f"c{int(v)}" if classes else float(v), group=f"g{g:05d}")
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
    texts = LargeSet(y=y, groups=groups, sample=np.arange(N))
    methods = ["ridge", "svm"] if classes else ["ridge"]
    found = probe_shards(parts(x), texts, design, methods)
    expected = probe_layer(x.astype(float), design, methods)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-6)
        np.testing.assert_allclose(ours.shuffled, theirs.shuffled, atol=1e-6)
        np.testing.assert_allclose(ours.control_tasks, theirs.control_tasks, atol=1e-6)


@pytest.mark.parametrize("classes", [0, 2, 3])
@pytest.mark.parametrize("penalty", [1.0, 1e3])
def test_ridge_is_that_of_all_texts_in_memory_with_true_and_random_labels(classes, penalty):
    x, y, groups = problem(classes)
    rows = sample_groups(groups, 60, seed=3)
    spec = ProbeSpec(methods=("ridge",), repeats=1, shuffles=20, folds=3, penalties=(penalty,))
    design = make_design(dataset(y[rows], groups[rows], classes), spec, seed=0)
    texts = LargeSet(y=y, groups=groups, sample=rows)
    found = probe_shards(parts(x), texts, design, ["ridge"])[0]
    rest = np.setdiff1d(np.arange(N), rows)
    # The labels of the other texts, computed at once instead of shard by shard.
    others = OtherLabels(texts, design).columns(rest)
    inside = np.stack([y[rows], *design.shuffled, *design.control_tasks], axis=1)
    inside = label_columns(inside, classes).reshape(len(rows), -1)
    k = inside.shape[1] // (1 + len(design.shuffled) + len(design.control_tasks))
    np.testing.assert_array_equal(others[:, :k], label_columns(y[rest], classes))
    scores = np.zeros((len(rows), inside.shape[1]))
    for fold in design.folds:
        train = np.concatenate([rest, rows[fold.train]])
        gram = split_gram(x.astype(float), train, rows[fold.test])
        labels = np.concatenate([others, inside[fold.train]])
        scores[fold.test] = held_out_scores(Ridge((penalty,)), gram, labels)
    np.testing.assert_allclose(found.scores[0], scores[:, :k], atol=1e-6)
    tasks = scores[:, -k * len(design.control_tasks) :].reshape(len(rows), -1, k).transpose(1, 0, 2)
    np.testing.assert_allclose(found.control_tasks, tasks, atol=1e-6)
    first = next(iter(measures_for(design.data.kind, design.classes).values()))
    shuffles = scores[:, k : k * (1 + len(design.shuffled))].reshape(len(rows), -1, k).transpose(1, 0, 2)
    expected = first(shuffles, design.shuffled, np.ones((1, len(rows))))[0]
    np.testing.assert_allclose(found.shuffled[0, 0], expected, atol=1e-6)
    flipped = y.copy()
    flipped[rest] = y[rest].max() - y[rest]
    other = probe_shards(parts(x), LargeSet(y=flipped, groups=groups, sample=rows), design, ["ridge"])[0].scores[0]
    assert np.abs(other - found.scores[0]).max() > 0.1  # texts outside the sample train


def test_the_penalty_is_the_one_of_least_error_on_texts_left_out():
    x, y, groups = problem(0)
    design = make_design(dataset(y, groups, 0), ProbeSpec(repeats=1, shuffles=20, folds=3), seed=0)
    noise = np.random.default_rng(5).standard_normal(x.shape).astype(np.float32)
    texts = LargeSet(y=y, groups=groups, sample=np.arange(N))
    weak = probe_shards(parts(noise), texts, design, ["ridge"])[0].scores[0, :, 0]
    strong = probe_shards(parts(x), texts, design, ["ridge"])[0].scores[0, :, 0]
    assert np.ptp(weak) < 0.2 * np.ptp(y)  # shrunk to the mean
    assert np.corrcoef(strong, y)[0, 1] > 0.8


def labels_of(y, groups, classes: int, **codes):
    """Return the labels of the texts outside a sample, (m, columns), their rows and the design."""
    rows = sample_groups(groups, 60, seed=3)
    design = make_design(dataset(y[rows], groups[rows], classes), ProbeSpec(repeats=1, shuffles=40, folds=3), seed=0)
    texts = LargeSet(y=y, groups=groups, sample=rows, **codes)
    rest = np.setdiff1d(np.arange(len(y)), rows)
    return OtherLabels(texts, design).columns(rest), rest, design


def test_other_texts_get_the_labels_of_other_groups_under_a_shuffle():
    groups = np.repeat(np.arange(200), 3)
    y = np.repeat(np.random.default_rng(0).permutation(200) % 4 == 0, 3).astype(float)
    columns, rest, _ = labels_of(y, groups, 2)
    shuffled = columns[:, 1:41]
    by_group = shuffled.reshape(-1, 3, 40)
    assert (by_group == by_group[:, :1]).all()  # a group has one label, as it had before
    share = np.mean(columns[:, 0] > 0)
    assert np.mean(shuffled > 0) == pytest.approx(share, abs=0.02)
    agree = np.mean(shuffled == columns[:, :1], axis=0)
    by_chance = share**2 + (1 - share) ** 2
    assert abs(agree.mean() - by_chance) < 0.02
    assert agree.max() < by_chance + 0.2
    pairs = np.corrcoef(by_group[:, 0].T)[np.triu_indices(40, 1)]
    assert abs(pairs.mean()) < 0.02  # one shuffle says nothing of another
    assert np.array_equal(columns, labels_of(y, groups, 2)[0])
    assert len(rest) == len(columns)


def test_groups_that_are_balanced_alike_keep_their_labels_under_a_shuffle():
    groups, y = np.repeat(np.arange(200), 2), np.tile([0.0, 1.0], 200)
    shuffled = labels_of(y, groups, 2)[0][:, 1:41].reshape(-1, 2, 40)
    assert (shuffled.sum(1) == 0).all()  # one of each
    assert abs(np.mean(shuffled[:, 0] > 0) - 0.5) < 0.02
    # Two readings of one unit keep one label.
    groups, y, units = np.repeat(np.arange(100), 4), np.tile([0.0, 0, 1, 1], 100), np.arange(400) // 2
    shuffled = labels_of(y, groups, 2, units=units)[0][:, 1:41].reshape(-1, 2, 2, 40)
    assert (shuffled[:, :, 0] == shuffled[:, :, 1]).all()
    assert (shuffled[:, :, 0].sum(1) == 0).all()


def test_one_group_out_of_balance_does_not_leave_the_labels_of_all_others_in_place():
    groups, y = np.append(np.repeat(np.arange(200), 2), 200), np.append(np.tile([0.0, 1.0], 200), 1.0)
    columns = labels_of(y, groups, 2)[0]
    assert np.mean(columns[:, 1:41] == columns[:, :1]) == pytest.approx(0.5, abs=0.03)


def test_a_word_has_one_label_in_a_control_task_inside_and_outside_the_sample():
    groups = np.arange(400)
    y, words = np.random.default_rng(1).permutation(400) % 2 * 1.0, np.arange(400) % 25
    texts = [f"text {i} with w{word}" for i, word in enumerate(words)]
    rows = sample_groups(groups, 100, seed=3)
    design = make_design(
        dataset(y[rows], groups[rows], 2, [texts[row] for row in rows]), ProbeSpec(repeats=1, shuffles=20), seed=0
    )
    rest = np.setdiff1d(np.arange(400), rows)
    columns = OtherLabels(LargeSet(y=y, groups=groups, sample=rows, words=words), design).columns(rest)
    tasks = columns[:, 21:] > 0
    for word in range(25):
        inside, outside = design.control_tasks[:, words[rows] == word], tasks[words[rest] == word].T
        assert (outside == (inside[:, :1] == 1)).all()
    unknown = OtherLabels(LargeSet(y=y, groups=groups, sample=rows), design).columns(rest)[:, 21:] > 0
    assert unknown.mean() == pytest.approx(y[rows].mean(), abs=0.03)


@pytest.mark.parametrize("classes", [0, 2])
def test_without_a_signal_the_scores_are_those_of_shuffled_labels(classes):
    """p-values are uniform although the other texts train; trained on the sample alone they would be too."""
    below = 0
    for seed in range(100):
        rng = np.random.default_rng([7, seed])
        groups = np.arange(N) // 3
        x = (rng.standard_normal((N // 3, 1, WIDTH)) + rng.standard_normal((N // 3, 3, WIDTH))).reshape(N, WIDTH)
        y = np.repeat(rng.permutation(N // 3) % 2 if classes else rng.standard_normal(N // 3), 3).astype(float)
        rows = sample_groups(groups, 60, seed=seed)
        design = make_design(dataset(y[rows], groups[rows], classes), ProbeSpec(repeats=1, folds=3, shuffles=39), seed)
        texts = LargeSet(y=y, groups=groups, sample=rows, seed=seed)
        found = probe_shards(parts(x.astype(np.float32)), texts, design, ["ridge"])[0]
        measure = next(iter(measures_for(design.data.kind, design.classes).values()))
        value = measure(found.scores, design.y, np.ones((1, len(rows)))).mean()
        below += (1 + (found.shuffled[0, 0] >= value).sum()) / 40 <= 0.2
    assert 9 <= below <= 32  # 20 expected; the binomial's range beyond which 0.4 % fall


def test_the_surface_baseline_is_trained_on_all_texts():
    """A rare word tells the class: a sample has too few of each to learn them, all texts have enough."""
    rng = np.random.default_rng(0)
    words = rng.permutation(np.arange(3000) % 300)
    groups, y = np.arange(3000), rng.integers(2, size=300)[words].astype(float)
    texts = [f"w{word}" + " " * list(words[:i]).count(word) for i, word in enumerate(words)]
    rows = sample_groups(groups, 300, seed=0)
    part = dataset(y[rows], groups[rows], 2, [texts[row] for row in rows])
    design = make_design(part, ProbeSpec(repeats=1, shuffles=20), seed=0)
    large = LargeSet(y=y, groups=groups, sample=rows)
    alone = surface_baseline(design, [1] * len(rows))
    trained = large_surface_baseline(design, large, texts, [1] * 3000)
    assert trained.values["accuracy"] > 0.95
    assert alone.values["accuracy"] < 0.85
    assert trained.scores.shape == (1, len(rows), 1)
    everything = make_design(dataset(y, groups, 2, texts), ProbeSpec(repeats=1, shuffles=20), seed=0)
    whole = LargeSet(y=y, groups=groups, sample=np.arange(3000))
    same = large_surface_baseline(everything, whole, texts, [1] * 3000)
    assert same.values["accuracy"] == pytest.approx(
        surface_baseline(everything, [1] * 3000).values["accuracy"], abs=0.01
    )


def peak(texts: int) -> int:
    """Return the most bytes at one time while a layer of so many texts is probed."""
    groups, y = np.arange(texts) // 2, np.arange(texts) // 2 % 2 * 1.0
    rows = sample_groups(groups, 100, seed=0)
    design = make_design(dataset(y[rows], groups[rows], 2), ProbeSpec(repeats=1, shuffles=100, folds=3), seed=0)
    large = LargeSet(y=y, groups=groups, sample=rows)

    def shards():
        for start in range(0, texts, 500):
            yield np.arange(start, start + 500), np.random.default_rng(start).standard_normal((500, 64)).astype("f4")

    tracemalloc.start()
    probe_shards(shards(), large, design, ["ridge"])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_memory_grows_by_row_numbers_alone():
    small, large = peak(10_000), peak(40_000)
    vectors, labels = 30_000 * 64 * 4, 30_000 * 100
    assert large - small < 30_000 * 200 < vectors + labels


def test_a_sample_is_of_whole_groups_and_about_as_large_as_asked_for():
    groups = np.repeat(np.arange(100), np.arange(100) % 7 + 1)
    rows = sample_groups(groups, 80, seed=0)
    assert 73 <= len(rows) <= 88
    assert set(groups[rows]).isdisjoint(np.delete(groups, rows))
    assert np.array_equal(rows, np.sort(rows))
    assert not np.array_equal(rows, sample_groups(groups, 80, seed=1))
    assert len(sample_groups(groups, 10**6, seed=0)) == len(groups)


def test_parts_of_groups_with_long_units_have_the_same_chance_too():
    """Units of twelve texts in parts of about twenty: the last unit of a part is in it as often as it lies within."""
    groups = np.repeat(np.arange(340), [600] * 40 + [12] * 300)
    units, huge = np.arange(len(groups)) // 12, groups < 40
    chances = [np.isin(np.arange(len(groups)), sample_groups(groups, 200, seed, units)) for seed in range(300)]
    each = np.array([[drawn[huge].mean(), drawn[~huge].mean()] for drawn in chances])
    error = each.std(0) / np.sqrt(len(each))
    assert np.all(abs(each.mean(0) - 200 / len(groups)) < 4 * error)
    assert error[0] < 0.05 * 200 / len(groups)  # a part more or less on average would be seen


def test_a_few_huge_groups_leave_others_to_train():
    """Nine groups hold nearly all texts: if parts of all nine were tested, hardly a text would train."""
    groups = np.repeat(np.arange(20), [5000] * 9 + [100] * 11)
    for seed in range(5):
        rows = sample_groups(groups, 2000, seed)
        assert (~np.isin(groups, groups[rows])).sum() > 0.15 * len(groups)
    with pytest.raises(DataError, match="leaves none of 4 groups to train"):
        _ = [sample_groups(np.repeat(np.arange(4), [50, 48, 1, 1]), 96, seed) for seed in range(20)]


SIZES = {
    "one huge": [500, *[2] * 300],
    "some larger than the sample": [*[60] * 12, *[2] * 300],
    "all larger than the sample": [100] * 20,
    "few": [100, 90, 80, 70],
    "one huge of few": [256, *[32] * 16],
    "mixed": list(range(1, 60)),
}


@pytest.mark.parametrize("kind", SIZES)
def test_every_text_has_the_same_chance_and_the_sample_is_as_large_as_asked_for(kind):
    """Whole groups drawn until enough are together had a part in 30 of what one huge group should have."""
    sizes, draws, size = np.array(SIZES[kind]), 400, 50
    groups = np.repeat(np.arange(len(sizes)), sizes)
    drawn = np.zeros(len(sizes))
    for seed in range(draws):
        rows = sample_groups(groups, size, seed)
        found = np.bincount(groups[rows], minlength=len(sizes))
        assert len(np.unique(rows)) == len(rows)
        assert len(rows) <= size + max(size // 10, found.max()) + 2
        assert len(rows) >= size - max(size // 10, found.max()) - 2
        assert (found > 0).sum() >= min(10, len(sizes) // 2)
        drawn += found
    # The share of groups of each size in the samples is that in the data.
    for each in np.unique(sizes):
        true, ours = sizes[sizes == each].sum() / len(groups), drawn[sizes == each].sum() / drawn.sum()
        assert abs(ours - true) < 0.25 * true + 0.01
    assert abs(drawn.sum() / draws - size) < 0.05 * size


def test_a_part_of_a_group_cuts_no_unit_and_the_rest_trains_nothing():
    groups = np.repeat(np.arange(8), 60)
    units = np.arange(480) // 3
    rows = sample_groups(groups, 60, 0, units)
    assert 45 <= len(rows) <= 75
    assert set(units[rows]).isdisjoint(np.delete(units, rows))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((480, WIDTH)).astype("f4"), (np.arange(480) // 3 % 2).astype(float)
    design = make_design(dataset(y[rows], groups[rows], 2), ProbeSpec(repeats=1, shuffles=20, folds=3), seed=0)
    large = LargeSet(y=y, groups=groups, sample=rows)
    tested = np.isin(groups, groups[rows])
    np.testing.assert_array_equal(large.others, np.flatnonzero(~tested))
    assert large.used == len(rows) + len(large.others) < 480
    unused = np.setdiff1d(np.flatnonzero(tested), rows)
    one = probe_shards(parts(x), large, design, ["ridge"])[0]
    x[unused] += 100 * y[unused, None].astype("f4")  # a leak, if they trained
    two = probe_shards(parts(x), large, design, ["ridge"])[0]
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.shuffled, two.shuffled)
    x[large.others] += 100 * y[large.others, None].astype("f4")
    assert not np.allclose(probe_shards(parts(x), large, design, ["ridge"])[0].scores, one.scores)


@pytest.mark.parametrize(("sizes", "size"), [([90, 90, 90], 20), ([200, *[1] * 100], 20), ([3] * 40, 1)])
def test_a_sample_that_cannot_be_tested_fairly_is_refused_in_one_line(sizes, size):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    said = rf"a sample of {size} of {len(groups)} texts in {len(sizes)} groups, the largest of {max(sizes)} texts; "
    with pytest.raises(DataError, match=said + "expected four groups or more, none with more than half"):
        sample_groups(groups, size, seed=0)


def test_labels_that_are_not_the_samples_are_refused():
    x, y, groups = problem(2)
    rows = sample_groups(groups, 60, seed=3)
    design = make_design(dataset(y[rows], groups[rows], 2), ProbeSpec(repeats=1, shuffles=20, folds=3), seed=0)
    with pytest.raises(DataError, match="not those of its data set"):
        probe_shards(parts(x), LargeSet(y=1 - y, groups=groups, sample=rows), design, ["ridge"])
    with pytest.raises(DataError, match="no vectors"):
        probe_shards([], LargeSet(y=y, groups=groups, sample=rows), design, ["ridge"])
