"""The layers that are as good as the best: the model confidence set of Hansen, Lunde and Nason (2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.stats.intervals import ROUNDING

# Each layer is averaged with P // _NEIGHBOURS layers on either side before the highest is chosen.
_NEIGHBOURS = 12
# The probability that a set contains all layers that are equally best.
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class BestLayers:
    """The layers that no other layer significantly exceeds.

    `p` (P,): the p-value of each layer; the layer leaves the set if it is at most 1 - `confidence`. `errors` (P, P):
    the standard error of every difference of two layers.
    """

    p: Floats
    errors: Floats
    confidence: float

    @property
    def inside(self) -> Bools:
        """Whether each layer is in the set, (P,)."""
        inside: Bools = self.p > 1 - self.confidence
        return inside


def best_layers(estimate: Floats, draws: Floats, confidence: float = CONFIDENCE) -> BestLayers:
    """Return the layers that are as good as the best, from a curve (P,), higher is better, and its bootstrap (B, P).

    With probability `confidence` the set contains all layers that are equally best; selection of the highest of P
    estimates is accounted for. Layers are eliminated one by one, first the layer that is furthest below another in
    standard errors of their difference. Elimination stops when equal layers would reach the largest remaining
    difference in more than 1 - `confidence` of the draws (the range statistic of Hansen, Lunde and Nason 2011). A curve
    without differences keeps all its layers.
    """
    gaps = estimate[None, :] - estimate[:, None]  # how far the row's layer is below the column's
    noise = draws - estimate
    errors = _errors(noise)
    p = _p_values(gaps / errors, noise, errors)
    return BestLayers(p=p, errors=errors, confidence=confidence)


def smoothed(values: Floats) -> Floats:
    """Return the mean of each layer and its neighbours (..., P): two to either side among 31 layers, none among 11.

    Neighbouring layers differ little, and their estimates have independent noise. On simulated smooth curves of 31
    layers, the layer with the highest mean falls short of the true best by a third to a half less than the layer with
    the highest estimate.
    """
    reach, points = values.shape[-1] // _NEIGHBOURS, values.shape[-1]
    windows = [slice(max(0, layer - reach), layer + reach + 1) for layer in range(points)]
    return np.stack([values[..., window].mean(-1) for window in windows], -1)


def within_one_error(values: Floats, errors: Floats) -> Bools:
    """Return the layers within one standard error of the highest, (..., P) (Breiman et al. 1984).

    values: (..., P); errors: those of all differences of two layers, (P, P).
    """
    near: Bools = values.max(-1, keepdims=True) - values <= errors[values.argmax(-1)]
    return near


def choose(estimate: Floats, inside: Bools) -> int:
    """Return the layer of a set with the highest neighbourhood mean."""
    return int(np.where(inside, smoothed(estimate), -np.inf).argmax())


def _errors(noise: Floats) -> Floats:
    """Return the standard error of every difference of two layers, (P, P), above 0."""
    covariance = np.atleast_2d(np.cov(noise, rowvar=False))
    variances = np.diag(covariance)
    errors: Floats = np.sqrt(np.maximum(variances[:, None] + variances[None, :] - 2 * covariance, ROUNDING))
    return errors


def _elimination(ratios: Floats) -> list[int]:
    """Return the layers in order of elimination, including the last one."""
    left, order = list(range(len(ratios))), []
    while len(left) > 1:
        order.append(left.pop(int(ratios[np.ix_(left, left)].max(1).argmax())))
    return [*order, *left]


def _p_values(ratios: Floats, noise: Floats, errors: Floats) -> Floats:
    """Return each layer's p-value, (P,): the largest of its own elimination step and all earlier steps."""
    order = _elimination(ratios)
    steps, observed, null = np.ones(len(order)), 0.0, np.zeros(len(noise))
    for place in range(len(order) - 2, -1, -1):  # from the last two layers to all layers
        layer, rest = order[place], order[place + 1 :]
        observed = max(observed, float(np.abs(ratios[layer, rest]).max()))
        null = np.maximum(null, (np.abs(noise[:, rest] - noise[:, [layer]]) / errors[layer, rest]).max(1))
        steps[place] = (1 + (null >= observed - ROUNDING).sum()) / (1 + len(noise))
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(steps)
    return p
