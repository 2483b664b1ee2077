"""Closed-form erasure: no linear trace of the label is left, and nothing moves more than it must."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf_shrinkage

from layeratlas.directions.erasing import fit_eraser, shrinkage


def labelled(n: int = 300, d: int = 12, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(classes, size=n)
    mixing = rng.standard_normal((d, d))
    return rng.standard_normal((n, d)) @ mixing + rng.standard_normal((classes, d))[codes], codes


def one_hot(codes: np.ndarray) -> np.ndarray:
    return (codes[:, None] == np.unique(codes)).astype(float)


def slope(x: np.ndarray, codes: np.ndarray) -> float:
    """Return how much of the label's variance the best linear map from x explains."""
    z = one_hot(codes) - one_hot(codes).mean(0)
    fitted = (x - x.mean(0)) @ np.linalg.lstsq(x - x.mean(0), z, rcond=None)[0]
    return float((fitted**2).sum() / (z**2).sum())


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_no_linear_probe_beats_chance_on_the_fitted_texts(classes):
    x, codes = labelled(classes=classes)
    erased = fit_eraser(x, codes, shrunk=0.0)(x)
    assert slope(x, codes) > 0.1
    assert slope(erased, codes) < 1e-12
    assert np.allclose(erased.mean(0), x.mean(0))
    means = np.stack([erased[codes == c].mean(0) for c in range(classes)])
    assert np.allclose(means, means[0])


def test_it_is_the_dense_formula():
    x, codes = labelled()
    centred, z = x - x.mean(0), one_hot(codes) - one_hot(codes).mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(x))
    whiten, unwhiten = ((vectors * values**power) @ vectors.T for power in (-0.5, 0.5))
    u, s, _ = np.linalg.svd(whiten @ (centred.T @ z / len(x)), full_matrices=False)
    u = u[:, s > 1e-10]
    assert np.allclose(fit_eraser(x, codes, shrunk=0.0)(x), x - centred @ (unwhiten @ u @ u.T @ whiten).T)


def test_no_other_map_that_erases_moves_the_texts_less():
    """In the norm of the covariance's inverse, and in the plain one: LEACE is least in both."""
    x, codes = labelled(classes=2)
    eraser = fit_eraser(x, codes, shrunk=0.0)
    precision = np.linalg.inv(np.cov(x.T))
    rng = np.random.default_rng(1)
    centred = x - x.mean(0)
    difference = x[codes == 1].mean(0) - x[codes == 0].mean(0)
    for metric in (np.eye(x.shape[1]), precision):
        least = np.einsum("nd,de,ne->", eraser.change(x), metric, eraser.change(x))
        for _ in range(50):
            # Any projection along the difference of the means makes the classes' means equal.
            reader = rng.standard_normal(x.shape[1]) + 3 * eraser.right[0] / np.linalg.norm(eraser.right)
            moved = -np.outer(centred @ reader / (reader @ difference), difference)
            assert slope(x + moved, codes) < 1e-10
            assert np.einsum("nd,de,ne->", moved, metric, moved) >= least - 1e-9


def test_shrinkage_is_that_of_ledoit_and_wolf():
    for n in (20, 300):
        x, _ = labelled(n=n)
        assert shrinkage(x) == pytest.approx(ledoit_wolf_shrinkage(x), abs=1e-9)


def test_with_fewer_texts_than_dimensions_new_texts_lose_the_label_too():
    rng = np.random.default_rng(3)
    codes = np.arange(120) % 2
    x = rng.standard_normal((120, 200)) + 4.0 * np.outer(2 * codes - 1, np.eye(200)[0])
    train, test = np.arange(80), np.arange(80, 120)
    shrunk, plain = fit_eraser(x[train], codes[train]), fit_eraser(x[train], codes[train], shrunk=0.0)

    def gap(values: np.ndarray) -> float:
        return float(values[codes[test] == 1, 0].mean() - values[codes[test] == 0, 0].mean())

    assert gap(x[test]) > 7
    assert abs(gap(shrunk(x[test]))) < 1.2 < gap(plain(x[test]))


@pytest.mark.parametrize("classes", [2, 4])
def test_it_equals_the_reference_implementation(classes):
    reference = pytest.importorskip("concept_erasure")
    torch = pytest.importorskip("torch")
    x, codes = labelled(classes=classes)
    given = torch.from_numpy(x), torch.from_numpy(one_hot(codes))
    theirs = reference.LeaceFitter.fit(*given, shrinkage=False, constrain_cov_trace=False, svd_tol=1e-9).eraser
    assert np.allclose(fit_eraser(x, codes, shrunk=0.0)(x), theirs(given[0]).numpy())
