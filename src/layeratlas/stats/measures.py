"""Measures of how well scores fit labels. They take item weights, so that a bootstrap is one matrix product."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats, Ints

# A measure takes scores (..., n, k), labels (..., n) and weights (b, n) and returns (b, ...).
Measure = Callable[[Floats, Floats, Floats], Floats]


def credit(scores: Floats, y: Floats) -> Floats:
    """Return 1 for a right prediction, 0 for a wrong one, and 1/k for a tie of k classes that includes the right one.

    scores: (..., n, k), k = 1 for two classes; y: (..., n) class codes; returns (..., n).
    """
    if scores.shape[-1] == 1:
        return 0.5 + 0.5 * np.sign(scores[..., 0]) * np.where(y == 1, 1.0, -1.0)
    top = scores == scores.max(-1, keepdims=True)
    hit = np.take_along_axis(top, np.broadcast_to(y.astype(int), top.shape[:-1])[..., None], -1)[..., 0]
    share: Floats = hit / top.sum(-1)
    return share


def accuracy(scores: Floats, y: Floats, weights: Floats) -> Floats:
    """Share of right predictions."""
    return _mean(credit(scores, y), weights)


def balanced_accuracy(scores: Floats, y: Floats, weights: Floats) -> Floats:
    """Mean over classes of the share of right predictions within the class."""
    right = credit(scores, y)
    parts = [_ratio(right * (y == c), np.asarray(y == c, float), weights) for c in np.unique(y)]
    # A draw can miss a class; the mean is then over the others.
    values = np.stack(parts)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, values, 0).sum(0) / known.sum(0)
    return mean


def auroc(scores: Floats, y: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve (two classes): the probability that a positive item scores above a negative one.

    Weights enter to first order, through each item's placement among the other class (DeLong 1988).
    """
    values, labels = np.broadcast_arrays(scores[..., 0], y)
    place = _placements(values, labels == 1)
    positive, negative = np.asarray(y == 1, float), np.asarray(y != 1, float)
    area = _ratio(place * positive, positive, np.ones((1, y.shape[-1])))
    return _ratio(place * positive, positive, weights) + _ratio(place * negative, negative, weights) - area


def _placements(values: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Return each item's share of the other class that it outranks (a negative: that outranks it); ties count half."""
    n, (order, ordered, first, last) = values.shape[-1], _in_order(values)
    ones = np.take_along_axis(positive, order, -1)
    counts = np.concatenate([np.zeros_like(order[..., :1]), ones.cumsum(-1)], -1)
    positives = counts[..., -1:]
    # Twice the number of positives below an item, and those equal to it once; likewise of all items.
    below = np.take_along_axis(counts, first, -1) + np.take_along_axis(counts, last + 1, -1)
    among_all = first + last + 1
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(ones, (among_all - below) / (2 * (n - positives)), 1 - below / (2 * positives))
    return _restored(place, order, ordered)


def ranks(values: Floats) -> Floats:
    """Return the rank of each value (..., n), from 1; equal values get the mean of their ranks, as in SciPy.

    NaN makes all ranks of its row NaN. (SciPy's function would take longer to import than a small run's ranks take.)
    """
    order, ordered, first, last = _in_order(values)
    return _restored(1 + (first + last) / 2, order, ordered)


def _in_order(values: Floats) -> tuple[Ints, Floats, Ints, Ints]:
    """Return the ascending order of values (..., n), the values in it, and where each one's run of equals is.

    The runs are given by their first and their last place.
    """
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, -1)
    places, end = np.arange(values.shape[-1]), np.ones((*order.shape[:-1], 1), dtype=bool)
    differs = ordered[..., 1:] != ordered[..., :-1]
    first = np.maximum.accumulate(np.where(np.concatenate([end, differs], -1), places, 0), -1)
    ends = np.where(np.concatenate([differs, end], -1), places, values.shape[-1])
    return order, ordered, first, np.minimum.accumulate(ends[..., ::-1], -1)[..., ::-1]


def _restored(found: Floats, order: Ints, ordered: Floats) -> Floats:
    """Return what was found of ordered values in their own order; NaN, which is last, makes a whole row NaN."""
    restored: Floats = np.empty_like(found)
    np.put_along_axis(restored, order, np.where(np.isnan(ordered[..., -1:]), np.nan, found), -1)
    return restored


def spearman(scores: Floats, y: Floats, weights: Floats) -> Floats:
    """Rank correlation of predicted and true numbers; 0 if the predictions are constant.

    Ranks are computed on the whole sample, so weights enter to first order.
    """
    a = ranks(scores[..., 0])
    b = np.broadcast_to(ranks(y), a.shape)
    n = a.shape[-1]
    a, b = (a - (n + 1) / 2) / n, (b - (n + 1) / 2) / n
    ma, mb = _mean(a, weights), _mean(b, weights)
    cov = _mean(a * b, weights) - ma * mb
    spread = (_mean(a * a, weights) - ma**2) * (_mean(b * b, weights) - mb**2)
    return np.where(spread > 1e-15, cov / np.sqrt(np.maximum(spread, 1e-15)), 0.0)


def r2(scores: Floats, y: Floats, weights: Floats) -> Floats:
    """Share of the numbers' variance that the predictions explain; negative if the mean predicts better."""
    truth = np.broadcast_to(y, scores.shape[:-1])
    mean = _mean(truth, weights)
    rest = _mean((truth - scores[..., 0]) ** 2, weights)
    return 1 - rest / np.maximum(_mean(truth**2, weights) - mean**2, 1e-15)


def _mean(values: Floats, weights: Floats) -> Floats:
    return _ratio(values, np.ones(values.shape[-1]), weights)


def _ratio(top: Floats, bottom: Floats, weights: Floats) -> Floats:
    """Return sum(w * top) / sum(w * bottom) for every row of weights: (b, ...); `bottom` is broadcast to `top`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.moveaxis(top @ weights.T / (bottom @ weights.T), -1, 0)


def measures_for(kind: str, classes: int) -> dict[str, Measure]:
    """Return the measures of a data set by name; the first is the one that findings use."""
    if kind == "number":
        return {"spearman": spearman, "r2": r2}
    both: dict[str, Measure] = {"accuracy": accuracy, "balanced_accuracy": balanced_accuracy}
    return both | {"auroc": auroc} if classes == 2 else both


def chance(measure: str, y: Floats) -> float:
    """Return the score of a probe that knows only the class shares."""
    if measure in ("spearman", "r2"):
        return 0.0
    shares = np.unique(y, return_counts=True)[1] / len(y)
    return {"accuracy": float(shares.max()), "balanced_accuracy": 1 / len(shares), "auroc": 0.5}[measure]
