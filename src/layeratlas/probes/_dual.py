"""The dual form: standardise on the training rows, then use only inner products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from layeratlas.core.arrays import Array, Floats, Ints
from layeratlas.probes._contract import Probe
from layeratlas.probes._gram import Gram, to_numpy

# The least scale of a feature as a fraction of its size, and of a class score beside a margin of 1: less is rounding.
_CONSTANT, _TIE = 1e-12, 1e-6


@dataclass(frozen=True, kw_only=True)
class SplitGram:
    """Inner products of one split: training rows with each other and with test rows; leading axes are a batch.

    The test-by-training products, (..., n_test, n_train), are `test` itself if there are at most as many rows as
    features. With more rows they would be larger than the features; they are then kept as factors, `test @ basis.mT`,
    with `test` (..., n_test, m) and `basis` (..., n_train, m).
    """

    train: Gram
    test: Array
    basis: Array | None = None

    def scores(self, dual: Array) -> Array:
        """Return the inner products of the test rows with the training rows, times dual coefficients (n_train, k)."""
        scores: Array = self.test @ (dual if self.basis is None else self.basis.mT @ dual)
        return scores


def standardise(rows: Array) -> tuple[Array, Array, Array]:
    """Return rows (..., n, d) with every feature at mean 0 and variance 1, and the means (..., d) and scales (..., d).

    A constant feature is only centred.
    """
    xp = array_namespace(rows)
    mean = xp.mean(rows, axis=-2)
    centred = rows - mean[..., None, :]
    scale = xp.linalg.vector_norm(centred, axis=-2) / rows.shape[-2] ** 0.5
    scale = scale_of(scale, mean)
    centred /= scale[..., None, :]
    return centred, mean, scale


def scale_of(spread: Array, mean: Array) -> Array:
    """Return what features (..., d) are divided by: their standard deviation, and 1 for a constant feature.

    Rounding gives a constant feature a spread of about 1e-16 of its size; dividing by that would amplify the error.
    """
    xp = array_namespace(spread)
    scale: Array = xp.where(spread <= _CONSTANT * (1 + abs(mean)), xp.ones_like(spread), spread)
    return scale


def with_ties(scores: Floats) -> Floats:
    """Return the scores of classes with those within rounding of the boundary at 0, so that equal vectors tie."""
    return np.where(np.abs(scores) < _TIE, 0.0, scores)


def split_gram(x: Array, train: Ints, test: Ints, pca: int | None = None) -> SplitGram:
    """Return the inner products of rows of x (..., n, d), standardised on the training rows.

    With `pca`, rows are first projected on that many principal components of the training rows.
    """
    inside, mean, scale = standardise(taken(x, train))
    gram = Gram(inside)
    outside = taken(x, test) - mean[..., None, :]
    outside /= scale[..., None, :]
    if pca is not None:
        part, vectors = components(gram, pca)
        return SplitGram(train=part, test=outside @ (inside.mT @ vectors), basis=vectors)
    if inside.shape[-2] > inside.shape[-1]:
        return SplitGram(train=gram, test=outside, basis=inside)
    return SplitGram(train=gram, test=outside @ inside.mT)


def components(gram: Gram, number: int) -> tuple[Gram, Array]:
    """Return the Gram matrix of rows projected on their first principal components, and its eigenvectors (..., n, r).

    With `number` beyond the rank, all components are used.
    """
    xp, vectors = gram.xp, gram.vectors[..., -number:]
    lengths = xp.sqrt(xp.clip(gram.values[..., -number:], 1e-300, None))
    return Gram(vectors * lengths[..., None, :]), vectors


def taken(x: Array, rows: Ints) -> Array:
    """Return rows of x (..., n, d), copied."""
    xp = array_namespace(x)
    return xp.take(x, xp.asarray(rows, device=x.device), axis=-2)


def held_out_scores(probe: Probe, gram: SplitGram, y: Array) -> Array:
    """Fit every column of `y` (n_train, k) on the training rows, and return the scores of the test rows.

    The result is (..., n_test, k). A probe that takes no batches fits one training set at a time.
    """
    dual, intercept = solved(probe, gram.train, y)
    return gram.scores(dual) + intercept[..., None, :]


def solved(probe: Probe, gram: Gram, y: Array) -> tuple[Array, Array]:
    """Return a probe's dual coefficients (..., n, k) and intercepts (k,) or (..., k), batched or one by one."""
    if probe.batched:
        return probe.solve(gram, y)
    found = [probe.solve(one, to_numpy(y)) for one in gram.layers]
    dual, intercept = (np.stack(parts).reshape(*gram.batch, *parts[0].shape) for parts in zip(*found, strict=True))
    return gram.xp.asarray(dual, device=y.device), gram.xp.asarray(intercept, device=y.device)


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
        gram, vectors = components(gram, pca)
    dual, intercept = solved(probe, gram, y)
    inside = dual if vectors is None else vectors @ (vectors.T @ dual)
    coef = (z.T @ inside).T / scale
    return Weights(coef=coef, intercept=intercept - coef @ mean)


def label_columns(y: Floats, classes: int) -> Floats:
    """Return the columns that a probe fits (..., n, k), from class codes or numbers (..., n).

    Two classes give one column of +-1, more give one column per class against the rest. Numbers (`classes` 0) form one
    unchanged column.
    """
    if classes == 0:
        return y[..., None]
    if classes == 2:
        return np.where(y == 1, 1.0, -1.0)[..., None]
    return np.where(y[..., None] == np.arange(classes), 1.0, -1.0)
