"""The dual form: standardise on the training rows, then work with inner products alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.probes._contract import Gram, Probe


@dataclass(frozen=True, kw_only=True)
class SplitGram:
    """Inner products of one split: of the training rows, and of test with training rows.

    The latter, (n_test, n_train), are `test` itself, or `test @ basis.T` with `test` (n_test, m), `basis` (n_train, m)
    where there are more rows than features: then their product would be far larger than the features.
    """

    train: Gram
    test: Floats
    basis: Floats | None = None

    def scores(self, dual: Floats) -> Floats:
        """Return the inner products of the test rows with the training rows, times dual coefficients (n_train, k)."""
        scores: Floats = self.test @ (dual if self.basis is None else self.basis.T @ dual)
        return scores


def standardise(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Return rows (n, d) with every feature at mean 0 and variance 1, and the means (d,) and scales (d,).

    A constant feature is only centred.
    """
    mean = rows.mean(0)
    centred = rows - mean
    scale = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(rows))
    # Rounding gives a constant feature a scale near 1e-16 of its size; dividing by it would amplify the rounding.
    scale[scale <= 1e-12 * (1 + np.abs(mean))] = 1.0
    centred /= scale
    return centred, mean, scale


def split_gram(x: Floats, train: Ints, test: Ints, pca: int | None = None) -> SplitGram:
    """Return the inner products of rows of x (n, d), standardised on the training rows.

    With `pca`, of their coordinates on that many principal components of the training rows.
    """
    inside, mean, scale = standardise(x[train])
    gram, outside = Gram(inside), (x[test] - mean) / scale
    if pca is not None:
        vectors, lengths = gram.vectors[:, -pca:], np.sqrt(np.maximum(gram.values[-pca:], 1e-300))
        return SplitGram(train=Gram(vectors * lengths), test=outside @ (inside.T @ vectors), basis=vectors)
    if len(inside) > inside.shape[1]:
        return SplitGram(train=gram, test=outside, basis=inside)
    return SplitGram(train=gram, test=outside @ inside.T)


def held_out_scores(probe: Probe, gram: SplitGram, y: Floats) -> Floats:
    """Fit every column of `y` (n_train, k) on the training rows and return the scores of the test rows (n_test, k)."""
    dual, intercept = probe.solve(gram.train, y)
    return gram.scores(dual) + intercept


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A linear read-out in the units of its input: scores are `x @ coef.T + intercept`, coef (k, d), intercept (k,)."""

    coef: Floats
    intercept: Floats


def fitted_weights(probe: Probe, x: Floats, y: Floats, pca: int | None = None) -> Weights:
    """Fit every column of `y` (n, k) on all rows of x (n, d), as `split_gram` and `held_out_scores` do on a fold."""
    z, mean, scale = standardise(x)
    gram, vectors = Gram(z), None
    if pca is not None:
        vectors = gram.vectors[:, -pca:]
        gram = Gram(vectors * np.sqrt(np.maximum(gram.values[-pca:], 1e-300)))
    dual, intercept = probe.solve(gram, y)
    inside = dual if vectors is None else vectors @ (vectors.T @ dual)
    coef = (z.T @ inside).T / scale
    return Weights(coef=coef, intercept=intercept - coef @ mean)


def label_columns(y: Floats, classes: int) -> Floats:
    """Return the columns that a probe fits (..., n, k), from class codes or numbers (..., n).

    Two classes give one column of +-1, more give one column per class against the rest, and numbers (`classes` 0) one
    column as they are.
    """
    if classes == 0:
        return y[..., None]
    if classes == 2:
        return np.where(y == 1, 1.0, -1.0)[..., None]
    return np.where(y[..., None] == np.arange(classes), 1.0, -1.0)
