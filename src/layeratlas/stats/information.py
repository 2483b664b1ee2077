"""A lower bound of mutual information, by decoding held-out items.

For any decoder q, I(X; Y) >= H(Y) - E[-log q(Y | X)] (Barber and Agakov 2003): the entropy of the labels minus the
cross entropy of the decoder on items that it was not fitted on. The entropy is computed from the label shares of the
same items. On average it is at most the true entropy (Miller 1955), so the result is a lower bound on average. An
uninformative decoder gives 0 or less for any number of dimensions; estimators from neighbours, bins or critics have no
such bound at hundreds of dimensions. Another decoder may still extract more information.
"""

from __future__ import annotations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats, Ints

# The most Newton steps for the two parameters of a calibration, a convex problem that takes about five.
_STEPS = 20


def calibrated(scores: Floats, prior: Floats, codes: Ints, asked: Floats) -> Floats:
    """Return log-probabilities of classes (..., m, C) from a decoder's scores `asked` (..., m, C).

    Logits are a * scores + b * log(prior). The parameters a and b minimise the cross entropy on items with `scores`
    (..., n, C) and classes `codes` (..., n) that the decoder was not fitted on; an uninformative decoder gets a = 0.
    `prior` (..., C) are class shares above 0. Leading axes are decoders, each with its own parameters.
    """
    base = np.broadcast_to(np.log(prior)[..., None, :], scores.shape)
    own = np.stack([np.take_along_axis(values, codes[..., None], -1)[..., 0] for values in (scores, base)])
    weights = np.stack([np.zeros(scores.shape[:-2]), np.ones(scores.shape[:-2])])
    for _ in range(_STEPS):
        step = _newton_step(scores, base, own, weights)
        # Far from the optimum a full Newton step can overshoot.
        largest = np.abs(step).max(0)
        weights = weights - step * np.minimum(1.0, 5.0 / np.maximum(largest, 1e-12))
        if (largest < 1e-6).all():
            break
    a, b = weights[..., None, None]
    logs: Floats = scipy.special.log_softmax(a * asked + b * np.log(prior)[..., None, :], axis=-1)
    return logs


def _newton_step(scores: Floats, base: Floats, own: Floats, weights: Floats) -> Floats:
    """Return the Newton step (2, ...) of the parameters `weights` (2, ...); `own` (2, ..., n) are the true classes'."""
    a, b = weights[..., None, None]
    share = scipy.special.softmax(a * scores + b * base, axis=-1)
    parts = (share * scores, share * base)
    means = np.stack([part.sum(-1) for part in parts])
    gradient = (means - own).mean(-1)
    pairs = [[(part * other).sum((-1, -2)) for other in (scores, base)] for part in parts]
    second = np.array(pairs) / own.shape[-1] - np.einsum("f...n,g...n->fg...", means, means) / own.shape[-1]
    (ss, sb), (_, bb) = second + 1e-6 * np.eye(2).reshape(2, 2, *[1] * (second.ndim - 2))
    moved = np.stack([bb * gradient[0] - sb * gradient[1], ss * gradient[1] - sb * gradient[0]])
    step: Floats = moved / (ss * bb - sb**2)
    return step


def information_bound(likelihood: Floats, counts: Floats, weights: Floats) -> Floats:
    """Return the lower bound in nats for every row of weights over subsets of the items, (B, ...).

    likelihood: (..., N), the sum of log q of the true class over the items of each subset. counts: (N, C), the items of
    each subset by class. weights: (B, N).
    """
    by_class = weights @ counts
    total = by_class.sum(1)
    shares = by_class / total[:, None]
    entropy = -np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1.0)), 0.0).sum(1)
    cross = np.moveaxis(likelihood @ weights.T / total, -1, 0)
    bound: Floats = entropy.reshape(-1, *[1] * (cross.ndim - 1)) + cross
    return bound
