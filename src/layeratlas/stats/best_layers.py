"""The best layer of a noisy curve, and the layers that are as good: the set of Hansen, Lunde and Nason (2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Bools, Floats
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.tests import rank_p

# The range of depth over which a curve is alike, and its variances in multiples of that of its noise, from a curve that
# is lost in noise to one that is known exactly.
_RANGE = 0.3
_RATIOS: Floats = np.geomspace(0.1, 1e6, 15)
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


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What other curves of a model say of one, up to a constant: its `mean` (P,) and their `covariance` (P, P)."""

    mean: Floats
    covariance: Floats


def smoothed(values: Floats, noise: Floats, expected: Expected | None = None, *, ratios: Floats = _RATIOS) -> Floats:
    """Return the expected curve (..., P) that lies behind noisy values (..., P), with the values' own mean.

    noise: the covariance of the values' errors, (P, P), such as that of a bootstrap. Values are moved towards those of
    neighbouring layers, further where they are noisier: the highest of many noisy estimates is often high by chance.
    The curve has a Gaussian process as its prior (Matérn 3/2 with a range of 0.3 of the depth and an unknown mean;
    Rasmussen and Williams 2006, chapters 2 and 4). Where other curves say what to expect (`common_curve`), it is the
    prior of the difference from that. The result is the mean over prior variances, weighted by their restricted
    likelihood; `ratios` are these in multiples of the mean variance of the noise.

    Range and prior were chosen on simulated curves of 7, 13 and 31 layers, and on two small models.
    """
    points = values.shape[-1]
    if points < 2:
        return values
    contrasts, prior = contrasts_of(points), alike(points)
    errors = within(noise, contrasts)
    mean = np.zeros(points - 1) if expected is None else contrasts @ expected.mean
    known = 0.0 * prior if expected is None else contrasts @ expected.covariance @ contrasts.T
    seen = values @ contrasts.T - mean
    rows = seen.reshape(-1, points - 1)
    fits, likelihoods = [], []
    for variance in ratios * np.trace(errors) / (points - 1):
        before = variance * prior + known
        solved = np.linalg.solve(before + errors, rows.T).T.reshape(seen.shape)  # all rows at once
        likelihoods.append(-0.5 * ((seen * solved).sum(-1) + np.linalg.slogdet(before + errors)[1]))
        fits.append(mean + solved @ before)
    weights = np.exp(likelihoods - np.max(likelihoods, 0))
    fit = (weights[..., None] * np.array(fits)).sum(0) / weights.sum(0)[..., None]
    curve: Floats = fit @ contrasts + values.mean(-1, keepdims=True)
    return curve


def contrasts_of(points: int) -> Floats:
    """Return orthonormal contrasts (P - 1, P), which remove the mean of a curve."""
    contrasts: Floats = np.linalg.svd(np.ones((1, points)))[2][1:]
    return contrasts


def alike(points: int) -> Floats:
    """Return how alike neighbouring layers are, as the prior covariance (P - 1, P - 1) of the contrasts of a curve."""
    lags = np.abs(np.subtract.outer(range(points), range(points))) * np.sqrt(3) / _RANGE / (points - 1)
    contrasts = contrasts_of(points)
    prior: Floats = contrasts @ ((1 + lags) * np.exp(-lags)) @ contrasts.T
    return prior


def within(noise: Floats, contrasts: Floats) -> Floats:
    """Return the covariance of the errors (P, P) of a curve as that of its contrasts, above 0."""
    errors: Floats = contrasts @ noise @ contrasts.T + ROUNDING * np.eye(len(contrasts))
    return errors


def within_one_error(values: Floats, errors: Floats) -> Bools:
    """Return the layers within one standard error of the highest, (..., P) (Breiman et al. 1984).

    values: (..., P); errors: those of all differences of two layers, (P, P).
    """
    near: Bools = values.max(-1, keepdims=True) - values <= errors[values.argmax(-1)]
    return near


def choose(estimate: Floats, noise: Floats, inside: Bools, expected: Expected | None = None) -> int:
    """Return the layer of a set with the highest expected value (`smoothed`)."""
    return int(np.where(inside, smoothed(estimate, noise, expected), -np.inf).argmax())


def noise_of(draws: Floats) -> Floats:
    """Return the covariance (P, P) of the errors of a curve from its bootstrap (B, P)."""
    return np.atleast_2d(np.cov(draws, rowvar=False))


def _errors(noise: Floats) -> Floats:
    """Return the standard error of every difference of two layers, (P, P), above 0."""
    covariance = noise_of(noise)
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
        steps[place] = rank_p(observed, null)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(steps)
    return p
