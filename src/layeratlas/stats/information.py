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
    """Return log-probabilities of classes (m, C) from a decoder's scores `asked` (m, C).

    Logits are a * scores + b * log(prior). The parameters a and b minimise the cross entropy on items with `scores` (n,
    C) and classes `codes` (n,) that the decoder was not fitted on; an uninformative decoder gets a = 0. `prior` (C,)
    are class shares above 0.
    """
    base = np.log(prior)
    features = np.stack([scores, np.broadcast_to(base, scores.shape)], -1)
    own = features[np.arange(len(codes)), codes]
    weights = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        share = scipy.special.softmax(features @ weights, axis=-1)
        mean = np.einsum("nc,ncf->nf", share, features)
        gradient = (mean - own).mean(0)
        second = np.einsum("nc,ncf,ncg->fg", share, features, features) / len(codes) - mean.T @ mean / len(codes)
        step = np.linalg.solve(second + 1e-6 * np.eye(2), gradient)
        # Far from the optimum a full Newton step can overshoot.
        weights = weights - step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-6:
            break
    logs: Floats = scipy.special.log_softmax(asked * weights[0] + base * weights[1], axis=-1)
    return logs


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
