"""How texts use the experts of a router: evenness, and differences between classes."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats, Ints


def entropy(probabilities: Floats, experts: Ints) -> Floats:
    """Return the entropy of probabilities (..., R, E) of R routers as a share of the largest: 1 is an even router.

    `experts` (R,) are the numbers of experts of each router; further columns are 0.
    """
    positive = np.where(probabilities > 0, probabilities, 1.0)
    bits = -(probabilities * np.log(positive)).sum(-1)
    shares: Floats = bits / np.log(experts)
    return shares


def distance(used: Floats, y: Floats, weights: Floats) -> Floats:
    """Return how differently classes use experts, (W, R): the mean total variation distance between two classes.

    `used` (n, R, E) sums to 1 over the experts; `y` (n,) are class codes; `weights` (W, n) are the weights of the
    texts. 0: all classes use the same experts in the same shares; 1: no two classes share an expert. A class without
    weight is ignored; NaN if fewer than two classes have weight.
    """
    means, held = [], []
    for code in np.unique(y):
        own = weights * (y == code)
        total = own.sum(1)
        held.append(total > 0)
        means.append(np.einsum("wn,nre->wre", own, used) / np.maximum(total, 1e-12)[:, None, None])
    gaps, pairs = np.zeros(means[0].shape[:2]), np.zeros(len(weights))
    for i, a in enumerate(means):
        for b, present in zip(means[:i], held[:i], strict=True):
            both = present & held[i]
            pairs += both
            gaps += both[:, None] * 0.5 * np.abs(a - b).sum(-1)
    shares: Floats = np.where(pairs[:, None] > 0, gaps / np.maximum(pairs, 1)[:, None], np.nan)
    return shares
