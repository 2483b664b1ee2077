"""Every probe keeps the same promises; ridge and SVM equal their scikit-learn references."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge as ReferenceRidge
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

import planting
from layeratlas.core import registry
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.probes import (
    Gram,
    LinearProbeClassifier,
    LinearProbeRegressor,
    bare_design,
    label_shuffles,
    make_design,
    make_folds,
    probe_layer,
    ridge,
)
from layeratlas.probes._dual import held_out_scores, label_columns, split_gram, standardise
from layeratlas.probes.ridge import PENALTIES, Ridge
from layeratlas.probes.svm import LinearSVM

PROBES = registry.names("probes")
SEPARABLE = {"n": 60, "d": 150, "strength": 3.0}
NOISY = {"n": 200, "d": 30, "strength": 1.0}


def problem(n, d, strength, seed=0):
    """Two classes, features of very different sizes and offsets."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    x = rng.standard_normal((n, d))
    x[:, :3] += strength * y[:, None] / 2
    return x * np.exp(rng.standard_normal(d)) + 5 * rng.standard_normal(d), y


def train_and_test(n):
    return np.arange(n * 3 // 4), np.arange(n * 3 // 4, n)


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_has_its_name_and_words_for_reports(name):
    probe = registry.get("probes", name)
    assert probe.name == name
    assert probe.label
    assert probe.summary


@pytest.mark.parametrize(("name", "requested", "run"), [("ridge", 100, 100), ("svm", 200, 40), ("svm", 40, 20)])
def test_costly_shuffles_are_a_fifth_and_at_least_twenty(name, requested, run):
    assert registry.get("probes", name).shuffles(requested) == run


@pytest.mark.parametrize("shape", [SEPARABLE, NOISY])
@pytest.mark.parametrize("name", PROBES)
def test_many_columns_at_once_equal_each_alone(name, shape):
    x, y = problem(**shape)
    train, test = train_and_test(len(y))
    rng = np.random.default_rng(1)
    many = np.stack([y, *(rng.permutation(y) for _ in range(5))], 1)[train]
    probe, grams = registry.get("probes", name), split_gram(x, train, test)
    together = held_out_scores(probe, grams, many)
    assert together.shape == (len(test), 6)
    for i in range(6):
        # The SVM stops where a step moves no score by 1e-3 of the margin, and columns share their penalty on the way:
        # a score may differ by a hundredth of the margin. Ridge is exact.
        slack = 1e-2 if name == "svm" else 1e-9
        assert together[:, [i]] == pytest.approx(held_out_scores(probe, grams, many[:, [i]]), abs=slack, rel=1e-6)


@pytest.mark.parametrize("name", PROBES)
def test_the_other_label_gives_the_other_score(name):
    x, y = problem(**NOISY)
    train, test = train_and_test(len(y))
    grams, probe = split_gram(x, train, test), registry.get("probes", name)
    result = held_out_scores(probe, grams, np.stack([y, -y], 1)[train])
    assert result[:, 0] == pytest.approx(-result[:, 1], abs=2e-3)


@pytest.mark.parametrize("name", PROBES)
def test_a_score_does_not_depend_on_units_or_offsets(name):
    x, y = problem(**NOISY)
    train, test = train_and_test(len(y))
    probe = registry.get("probes", name)
    moved = x * np.logspace(-4, 4, x.shape[1]) + 100 * np.arange(x.shape[1])
    plain, other = (held_out_scores(probe, split_gram(v, train, test), y[train, None]) for v in (x, moved))
    assert other == pytest.approx(plain, abs=2e-3)


@pytest.mark.parametrize("name", PROBES)
def test_test_rows_do_not_touch_the_fit(name):
    """Only training rows set means, scales and coefficients: other test rows leave the rest as it was."""
    x, y = problem(**NOISY)
    train, test = train_and_test(len(y))
    changed = x.copy()
    changed[test[1:]] = 1e3 * np.random.default_rng(2).standard_normal(changed[test[1:]].shape)
    probe = registry.get("probes", name)
    before, after = (held_out_scores(probe, split_gram(v, train, test), y[train, None]) for v in (x, changed))
    assert np.array_equal(before[0], after[0])
    assert not np.allclose(before[1:], after[1:])
    # Control: a changed training row does change the score.
    changed[train[0]] *= 3
    assert not np.array_equal(held_out_scores(probe, split_gram(changed, train, test), y[train, None])[0], before[0])


def test_standardising_uses_the_training_rows_and_leaves_constant_features_alone():
    x, _ = problem(**NOISY)
    x[:, 4] = 7.1
    train, _ = train_and_test(len(x))
    z, mean, scale = standardise(x[train])
    assert z.mean(0) == pytest.approx(np.zeros(x.shape[1]), abs=1e-9)
    assert z.std(0) == pytest.approx([float(i != 4) for i in range(x.shape[1])], abs=1e-9)
    assert scale[4] == 1
    assert mean[4] == pytest.approx(7.1)
    assert abs(((x - mean) / scale).mean(0)).max() > 1e-3


@pytest.mark.parametrize("name", PROBES)
def test_equal_inputs_get_one_score_that_is_the_majority(name):
    y = np.array([1.0] * 7 + [-1] * 5)
    x = np.tile(np.random.default_rng(0).standard_normal(4) * 1e3 + 0.1, (16, 1))
    result = held_out_scores(registry.get("probes", name), split_gram(x, np.arange(12), np.arange(12, 16)), y[:, None])
    assert np.ptp(result) < 1e-9
    assert np.all(result > 0)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("name", PROBES)
def test_classes_in_a_run_are_one_against_the_rest(name):
    y = np.array([0.0, 1, 2, 2])
    assert label_columns(y, 3).tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [-1, -1, 1]]
    assert label_columns(np.array([0.0, 1]), 2).tolist() == [[-1], [1]]
    assert label_columns(np.array([0.3, 7]), 0).tolist() == [[0.3], [7]]
    data = planting.planted_data(90, classes=3)
    (x,) = planting.activations(data, [4.0])
    (result,) = probe_layer(x, make_design(data, planting.LIGHT, 0), [name])
    assert result.scores.shape == (2, 90, 3)
    assert np.mean(result.scores.argmax(-1) == data.y) > 0.85


@pytest.mark.parametrize("n", [40, 200])
@pytest.mark.parametrize("penalty", [1.0, 100.0, 1e4])
def test_ridge_equals_scikit_learn_at_a_fixed_penalty(penalty, n):
    x, y = problem(n, 60, 1.0)
    y = y + 3 * (x[:, 0] - x[:, 0].mean())
    train, test = train_and_test(n)
    scaler = StandardScaler().fit(x[train])
    reference = ReferenceRidge(alpha=penalty).fit(scaler.transform(x[train]), y[train])
    result = held_out_scores(Ridge((penalty,)), split_gram(x, train, test), y[train, None])[:, 0]
    assert result == pytest.approx(reference.predict(scaler.transform(x[test])), abs=1e-6, rel=1e-6)


def reference_cv(z, y):
    """scikit-learn's ridge whose penalty is chosen by leave-one-out."""
    return RidgeCV(alphas=PENALTIES).fit(z, y)


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0, 4.0])
@pytest.mark.parametrize(("n", "d"), [(80, 20), (40, 100), (120, 100)])
def test_ridge_equals_scikit_learns_with_its_own_choice_of_penalty(strength, n, d):
    x, y = problem(n, d, strength)
    train, test = train_and_test(n)
    z, mean, scale = standardise(x[train])
    result = held_out_scores(Ridge(), split_gram(x, train, test), y[train, None])[:, 0]
    assert result == pytest.approx(reference_cv(z, y[train]).predict((x[test] - mean) / scale), abs=1e-6)


@pytest.mark.parametrize(("n", "d"), [(200, 30), (60, 150)])
def test_settings_reach_the_probes_and_equal_scikit_learns_pipelines(n, d):
    x, y = problem(n, d, 1.0)
    items = tuple(Item(f"t{i}", "ab"[int(v > 0)], f"g{i}") for i, v in enumerate(y))
    spec = ProbeSpec(repeats=1, shuffles=20, svm_c=0.01, penalties=(3.0, 300.0), pca=7)
    design = make_design(Dataset("d", "item", items), spec, 0)
    on_ridge, svm = (result.scores[0, :, 0] for result in probe_layer(x, design, ["ridge", "svm"]))
    sides = {"ridge": RidgeCV(alphas=spec.penalties), "svm": SVC(kernel="linear", C=spec.svm_c)}
    wanted = {}
    for name, last in sides.items():
        wanted[name] = np.zeros(n)
        for fold in design.folds:
            line = make_pipeline(StandardScaler(), PCA(7, svd_solver="full"), last).fit(x[fold.train], y[fold.train])
            read = line.decision_function if name == "svm" else line.predict
            wanted[name][fold.test] = read(x[fold.test])
    assert on_ridge == pytest.approx(wanted["ridge"], abs=1e-6)
    assert svm == pytest.approx(wanted["svm"], abs=2e-2)
    plain = make_design(Dataset("d", "item", items), ProbeSpec(repeats=1, shuffles=20), 0)
    assert abs(probe_layer(x, plain, ["ridge"])[0].scores[0, :, 0] - on_ridge).max() > 0.05


@pytest.mark.parametrize(("n", "d"), [(60, 150), (120, 40)])
def test_the_penalty_is_chosen_as_in_float64_also_where_two_nearly_tie(monkeypatch, n, d):
    """Errors in float32 are rounded: with penalties a millionth apart, they alone would choose at random."""
    x, _ = problem(n, d, 1.0)
    gram = Gram(standardise(x)[0])
    y = np.random.default_rng(0).standard_normal((n, 300)) + np.linspace(0, 0.2, 300) * gram.matrix[:, :1]
    y -= y.mean(0)
    probe = Ridge(tuple(p * q for p in PENALTIES for q in (1.0, 1.000001)))
    exact = np.argmin([error for error, _ in probe._errors(gram, y)], axis=0)
    assert len(set(exact)) > 6
    assert np.array_equal(probe._chosen(gram, y), np.array(probe.penalties)[exact])
    monkeypatch.setattr(ridge, "_NEAR", -1.0)  # control: nothing is taken for a tie
    assert not np.array_equal(probe._chosen(gram, y), np.array(probe.penalties)[exact])


def test_penalties_differ_with_the_signal():
    """Control for the test above: it is not one penalty that always wins."""
    problems = [problem(80, 20, strength) for strength in (0.0, 0.4, 4.0)]
    chosen = {float(reference_cv(standardise(x)[0], y).alpha_) for x, y in problems}
    assert len(chosen) > 1


@pytest.mark.parametrize(("d", "columns"), [(150, 2), (30, 2), (8, 2), (30, 0)])
def test_the_smoother_of_the_svm_is_ridge_with_its_own_intercept(d, columns):
    """With few columns it is kept as two factors, with more or with many features as one matrix."""
    x, y = problem(60, d, 1.0)
    z = standardise(x)[0]
    targets = np.stack([y, y + 3 * x[:, 0]], 1).astype(np.float32)
    smoother = Gram(z).ridge(np.array(7.0), columns)
    assert (smoother.second is None) == (2 * d >= 60 and columns > 0)
    expected = ReferenceRidge(alpha=7.0).fit(z, targets).predict(z)
    assert np.abs(smoother.fit(targets) - expected).max() < 1e-4
    blended = smoother.blended(1.7, -0.85).fit(targets)
    assert np.abs(blended - (1.7 * expected - 0.85 * targets)).max() < 1e-4


def test_the_svm_stops_near_the_optimum_of_a_hundredfold_tighter_tolerance():
    """Labels that cannot be separated: two hundredths of the margin, also where the optimum is nearly flat."""
    x, y = problem(**NOISY)
    z = standardise(x)[0]
    labels = np.stack([y, np.random.default_rng(0).permutation(y)], 1)
    scores = []
    for probe in (LinearSVM(), LinearSVM(tolerance=1e-5, iterations=20_000)):
        dual, intercept = probe.solve(Gram(z), labels)
        scores.append(z @ (z.T @ dual) + intercept)
    assert 0 < np.abs(scores[0] - scores[1]).max() < 2e-2
    dual, intercept = LinearSVM(iterations=20).solve(Gram(z), labels)  # control: stopped long before
    assert np.abs(z @ (z.T @ dual) + intercept - scores[1]).max() > 5e-2


def test_shuffles_in_several_strata_are_measured_as_in_each_alone():
    x, y = problem(60, 20, 2.0)
    items = [Item(f"text {i}", str(label > 0), str(i), stratum="ab"[i % 2]) for i, label in enumerate(y)]
    design = make_design(Dataset("strata", "level", tuple(items)), ProbeSpec(repeats=1, shuffles=20), 0)
    assert design.strata == ("all", "a", "b")
    (found,) = probe_layer(x, design, ["ridge"])
    for i, stratum in enumerate(design.strata):
        alone = dataclasses.replace(design, strata=(stratum,))
        assert np.allclose(found.shuffled[i], probe_layer(x, alone, ["ridge"])[0].shuffled[0])
    assert not np.allclose(found.shuffled[1], found.shuffled[2])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [SEPARABLE, NOISY, {"n": 300, "d": 40, "strength": 0.3}])
def test_the_svm_equals_libsvm(shape, seed):
    x, y = problem(**shape, seed=seed)
    rng = np.random.default_rng(seed)
    train, test = train_and_test(len(y))
    many = np.stack([y, rng.permutation(y)], 1)
    scaler = StandardScaler().fit(x[train])
    result = held_out_scores(registry.get("probes", "svm"), split_gram(x, train, test), many[train])
    for i in range(2):
        reference = SVC(kernel="linear", C=1.0, tol=1e-6).fit(scaler.transform(x[train]), many[train, i])
        expected = reference.decision_function(scaler.transform(x[test]))
        # Shuffled labels with n > d leave the optimum nearly flat: there the solver stops a little earlier.
        assert np.abs(result[:, i] - expected).max() < (1e-2, 2e-2)[i] * np.abs(expected).max()
        clear = np.abs(expected) > 1e-2
        assert np.mean(np.sign(result[clear, i]) == np.sign(expected[clear])) >= 0.998


def test_the_svm_agrees_with_libsvm_on_thousands_of_test_rows():
    x, y = problem(2600, 30, 1.0)
    train, test = np.arange(150), np.arange(150, 2600)
    scaler = StandardScaler().fit(x[train])
    reference = SVC(kernel="linear", C=1.0, tol=1e-6).fit(scaler.transform(x[train]), y[train])
    result = held_out_scores(registry.get("probes", "svm"), split_gram(x, train, test), y[train, None])[:, 0]
    agree = np.sign(result) == np.sign(reference.decision_function(scaler.transform(x[test])))
    assert agree.mean() >= 0.998
    assert abs(np.mean(np.sign(result) == y[test]) - reference.score(scaler.transform(x[test]), y[test])) < 0.002


def test_the_svm_refuses_numbers():
    with pytest.raises(DataError, match="the svm probe was given labels other than -1 and 1; expected classes"):
        registry.get("probes", "svm").solve(Gram(np.eye(2) - 0.5), np.array([[0.5], [1.0]]))


# As estimators


@pytest.mark.parametrize(
    "estimator", [*(LinearProbeClassifier(name) for name in PROBES), LinearProbeRegressor()], ids=repr
)
def test_scikit_learns_own_checks_pass(estimator):
    results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert len(results) > 30
    assert [(r["check_name"], r["exception"]) for r in results if r["status"] in ("failed", "xfail")] == []


@pytest.mark.parametrize("name", PROBES)
def test_an_estimator_is_the_probe_in_the_units_of_its_input(name):
    x, y = problem(**NOISY)
    train, test = train_and_test(len(y))
    model = LinearProbeClassifier(name).fit(x[train], y[train])
    result = held_out_scores(registry.get("probes", name), split_gram(x, train, test), y[train, None])[:, 0]
    assert model.decision_function(x[test]) == pytest.approx(result, abs=1e-6)
    assert model.decision_function(x) == pytest.approx(x @ model.coef_[0] + model.intercept_[0])


def test_estimators_refuse_what_they_cannot_learn():
    x = np.random.default_rng(0).standard_normal((10, 3))
    with pytest.raises(ValueError, match=r"the labels have one class \('a'\); expected two or more"):
        LinearProbeClassifier().fit(x, np.array(["a"] * 10, dtype=object))
    with pytest.raises(ValueError, match="the probe 'svm' predicts classes only; expected one such as 'ridge'"):
        LinearProbeRegressor("svm").fit(x, np.arange(10.0))


# Folds and shuffles


def ragged_data(seed=0):
    """Groups of one to six items, most of one label."""
    rng = np.random.default_rng(seed)
    items = []
    for group in range(40):
        for i in range(rng.integers(1, 7)):
            label = "a" if (group % 3 == 0) ^ (rng.random() < 0.1) else "b"
            items.append(Item(f"{group} {i}", label, f"g{group:02d}"))
    return Dataset("ragged", "item", tuple(items))


@pytest.mark.parametrize("data", [planting.planted_data(), planting.planted_data(96, 4, mixed=True), ragged_data()])
def test_groups_never_straddle_and_every_repeat_tests_each_item_once(data):
    folds = make_folds(data, 5, 3, seed=0)
    assert len(folds) == 15
    for fold in folds:
        assert not set(data.groups[fold.train]) & set(data.groups[fold.test])
        assert sorted([*fold.train, *fold.test]) == list(range(len(data.items)))
        assert set(data.y[fold.train]) == set(data.y)
    for repeat in range(3):
        tested = np.concatenate([fold.test for fold in folds if fold.repeat == repeat])
        assert sorted(tested) == list(range(len(data.items)))


def test_folds_are_the_same_each_time_and_differ_between_repeats_and_seeds():
    data = planting.planted_data()

    def parts(seed, repeat=0):
        folds = make_folds(data, 5, 2, seed)
        return [fold.test.tolist() for fold in folds if fold.repeat == repeat]

    assert parts(0) == parts(0)
    assert parts(0) != parts(0, repeat=1)
    assert parts(0) != parts(5)


def test_there_are_no_more_folds_than_groups_of_the_rarest_class():
    items = [Item(f"t{i}", "rare" if i < 3 else "common", f"g{i}") for i in range(30)]
    folds = make_folds(Dataset("d", "item", tuple(items)), 5, 1, seed=0)
    assert len(folds) == 3
    assert all(set(folds[i].test) & {0, 1, 2} for i in range(3))


def test_numbers_are_split_by_group_too():
    items = [Item(f"t{i}", float(i), f"g{i // 3}") for i in range(30)]
    data = Dataset("d", "item", tuple(items), kind="number")
    folds = make_folds(data, 5, 1, seed=0)
    assert len(folds) == 5
    assert not any(set(data.groups[f.train]) & set(data.groups[f.test]) for f in folds)


@pytest.mark.parametrize("per_group", [1, 4])
def test_shuffles_of_single_label_groups_keep_groups_whole_and_every_part_balanced(per_group):
    data = planting.planted_data(80, per_group)
    folds = make_folds(data, 5, 2, seed=0)
    orders = label_shuffles(data, folds, 30, seed=0)
    assert orders.shape == (30, 80)
    shuffled = data.y[orders]
    assert len(np.unique(shuffled, axis=0)) > 25
    for fold in folds[:5]:
        assert np.all(shuffled[:, fold.test].sum(1) == data.y[fold.test].sum())
    for group in range(data.groups.max() + 1):
        assert np.all(np.ptp(shuffled[:, data.groups == group], axis=1) == 0)


def test_shuffles_of_mixed_groups_stay_in_their_group():
    data = planting.planted_data(96, 4, mixed=True)
    orders = label_shuffles(data, make_folds(data, 5, 2, seed=0), 30, seed=0)
    assert np.all(np.sort(orders, axis=1) == np.arange(96))
    assert np.all(data.groups[orders] == data.groups)
    assert len(np.unique(data.y[orders], axis=0)) > 25


def test_readings_of_one_unit_keep_one_label_under_a_shuffle():
    """Six readings of each of two targets per group: as twelve separate texts the control would look steadier."""
    items = [
        Item(f"{g} {label} {i}", label, f"g{g:02d}", unit=label) for g in range(20) for label in "ab" for i in range(6)
    ]
    data, apart = (
        Dataset("d", "item", tuple(Item(i.text, i.label, i.group, unit=i.unit if keep else "") for i in items))
        for keep in (True, False)
    )
    for one in (data, apart):
        shuffled = one.y[label_shuffles(one, make_folds(one, 5, 1, seed=0), 200, seed=0)].reshape(200, 20, 2, 6)
        assert np.all(shuffled.sum((2, 3)) == 6)
        assert abs((shuffled.reshape(200, -1) == one.y).mean() - 0.5) < 0.03
    labels = data.y[label_shuffles(data, make_folds(data, 5, 1, seed=0), 50, seed=0)].reshape(50, 20, 2, 6)
    assert np.all(np.ptp(labels, axis=-1) == 0)
    assert np.all(labels[:, :, 0, 0] != labels[:, :, 1, 0])


def test_a_few_mixed_groups_do_not_keep_the_labels_of_the_others_in_place():
    """One text that stands twice with two labels once froze every other label, and the control read the truth."""
    items = planting.planted_data(80).items
    data = Dataset("d", "item", (*items, Item(items[0].text, items[1].label, items[0].group)))
    folds = make_folds(data, 5, 1, seed=0)
    agreement = (data.y[label_shuffles(data, folds, 50, seed=0)] == data.y).mean(1)
    assert abs(agreement.mean() - 0.5) < 0.05


def test_shuffles_of_groups_with_unlike_shares_forget_which_label_is_common():
    """Three of one label to one of the other: moved within its group, the common label would stay common."""
    items = [Item(f"{g} {i}", "ab"[(g + (i == 3)) % 2], f"g{g:02d}") for g in range(40) for i in range(4)]
    data = Dataset("d", "item", tuple(items))
    shuffled = data.y[label_shuffles(data, make_folds(data, 5, 1, seed=0), 50, seed=0)]
    common = [np.round(y.reshape(40, 4).mean(1)) == np.arange(40) % 2 for y in shuffled]
    assert abs(np.mean(common) - 0.5) < 0.05
    assert np.all(np.isin(shuffled.reshape(50, 40, 4).sum(2), (1, 3)))


def test_shuffles_are_the_same_each_time_and_forget_the_labels():
    data = planting.planted_data(200)
    folds = make_folds(data, 5, 1, seed=0)
    orders = label_shuffles(data, folds, 50, seed=3)
    assert np.array_equal(orders, label_shuffles(data, folds, 50, seed=3))
    assert not np.array_equal(orders, label_shuffles(data, folds, 50, seed=4))
    agreement = (data.y[orders] == data.y).mean(1)
    assert abs(agreement.mean() - 0.5) < 0.02


@pytest.mark.parametrize(
    "data", [planting.planted_data(80, 4), planting.planted_data(96, 4, mixed=True), ragged_data()]
)
def test_a_bare_design_is_the_start_of_the_whole_one(data):
    """What a run resumes, or compares with its own curves, must not depend on how many shuffles were drawn after."""
    spec = ProbeSpec(folds=5, repeats=3, shuffles=30)
    bare, whole = bare_design(data, spec, 4), make_design(data, spec, 4)
    first = [fold for fold in whole.folds if fold.repeat == 0]
    assert [(f.train.tolist(), f.test.tolist()) for f in bare.folds] == [
        (f.train.tolist(), f.test.tolist()) for f in first
    ]
    assert np.array_equal(bare.shuffled, whole.shuffled[:1])
    assert bare.control_tasks.shape == (0, len(data.items))
    assert (bare.repeats, bare.strata, bare.spec) == (1, whole.strata, spec)
    assert not np.array_equal(bare.shuffled, bare_design(data, spec, 5).shuffled)


CONTROL = ProbeSpec(folds=5, repeats=1, shuffles=20)
DESIGNS = {
    "single": lambda: planting.planted_data(60),
    "groups of four": lambda: planting.planted_data(80, 4),
    "mixed": lambda: planting.planted_data(60, 4, mixed=True),
    "mixed pairs": lambda: planting.planted_data(60, 2, mixed=True),
}


def control_mean(data, probe, design_of=make_design):
    """Return the mean accuracy on shuffled labels over pure noise of several draws."""
    means = []
    for seed in range(6):
        (x,) = planting.activations(data, [0.0], width=20, seed=seed)
        means.append(probe_layer(x, design_of(data, CONTROL, seed), [probe])[0].shuffled[0, 0].mean())
    return float(np.mean(means))


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", DESIGNS)
def test_on_noise_the_shuffled_control_is_at_chance(name, probe):
    assert abs(control_mean(DESIGNS[name](), probe) - 0.5) < 0.03


@pytest.mark.parametrize("name", ["single", "mixed"])
def test_labels_shuffled_across_folds_would_put_the_control_below_chance(name):
    """Negative control of the test above: what is rare in training is then common in testing."""

    def across(data, spec, seed):
        design = make_design(data, spec, seed)
        rng = np.random.default_rng(seed)
        return dataclasses.replace(design, shuffled=np.stack([rng.permutation(design.y) for _ in range(spec.shuffles)]))

    assert control_mean(DESIGNS[name](), "ridge", across) < 0.47


@pytest.mark.parametrize("probe", PROBES)
def test_the_control_is_at_chance_though_there_is_a_signal(probe):
    """Selectivity is measured against it, so that it must not learn the real labels."""
    data = planting.planted_data(80)
    (x,) = planting.activations(data, [4.0])
    (result,) = probe_layer(x, make_design(data, ProbeSpec(folds=5, repeats=1, shuffles=60), 0), [probe])
    assert np.mean((result.scores[0, :, 0] > 0) == (data.y == 1)) > 0.9
    assert abs(result.shuffled[0, 0].mean() - 0.5) < 0.03


def test_equal_vectors_tie_so_that_identical_last_tokens_are_exactly_at_chance():
    """Items of a group share a vector but not a label: half of each group is right, whatever the fold."""
    data = planting.planted_data(96, 4, mixed=True)
    x = np.random.default_rng(0).standard_normal((24, 10))[data.groups]
    for result in probe_layer(x, make_design(data, CONTROL, 0), ["ridge"]):
        right = np.sign(result.scores[0, :, 0]) * np.where(data.y == 1, 1, -1)
        assert right.sum() == 0


def test_numbers_are_read_and_their_control_is_not_above_zero():
    """Pooled over folds it lies a little below: a fold's mean moves against that of its training part."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((90, 10))
    items = [Item(f"t{i}", float(x[i, 0] + 0.3 * rng.standard_normal()), f"g{i}") for i in range(90)]
    data = Dataset("d", "item", tuple(items), kind="number")
    (result,) = probe_layer(x, make_design(data, ProbeSpec(folds=5, repeats=1, shuffles=60), 0), ["ridge"])
    assert spearmanr(result.scores[0, :, 0], data.y)[0] > 0.85
    assert -0.2 < result.shuffled[0, 0].mean() < 0.05
