"""The dual form: standardise on the training rows, then work with inner products alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.probes._contract import Gram, Probe


def standardise(inside: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the training rows with every feature at mean 0 and variance 1, the means and the scales.

    inside: (n, d). A feature that is constant in training is only centred.
    """
    mean = inside.mean(0)
    centred = inside - mean
    scale = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(inside))
    # Rounding gives a constant feature a scale near 1e-16 of its size; dividing by that would amplify nothing.
    scale[scale <= 1e-12 * (1 + np.abs(mean))] = 1.0
    centred /= scale
    return centred, mean, scale


def out_of_fold(
    x: Floats, train: NDArray[np.int64], test: NDArray[np.int64], pca: int | None = None
) -> tuple[Gram, Floats]:
    """Return the training Gram matrix (n_train, n_train) and its test rows (n_test, n_train).

    With `pca`, of the first so many principal components of the standardised training rows.
    """
    inside, mean, scale = standardise(x[train])
    gram, outside = Gram(inside), ((x[test] - mean) / scale) @ inside.T
    if pca is None:
        return gram, outside
    vectors, sizes = gram.vectors[:, -pca:], np.sqrt(np.maximum(gram.values[-pca:], 1e-300))
    return Gram(vectors * sizes), (outside @ vectors) @ vectors.T


def scores(probe: Probe, grams: tuple[Gram, Floats], y: Floats) -> Floats:
    """Fit every column of `y` (n_train, k) and return the test scores (n_test, k)."""
    dual, intercept = probe.solve(grams[0], y)
    return grams[1] @ dual + intercept


def columns(y: NDArray[np.float64], classes: int) -> Floats:
    """Return the columns a probe fits: +-1 per class against the rest, one for two classes, y for numbers.

    y: (..., n) class codes or numbers; returns (..., n, k).
    """
    if classes == 0:
        return y[..., None]
    if classes == 2:
        return np.where(y == 1, 1.0, -1.0)[..., None]
    return np.where(y[..., None] == np.arange(classes), 1.0, -1.0)
