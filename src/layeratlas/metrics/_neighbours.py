"""Intrinsic dimension from two nearest neighbours."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats

_SAME = 1e-10


def two_nn(gram: Floats) -> float:
    """Return the intrinsic dimension of points with inner products `gram` (n, n): (n - 1) / sum log(r2 / r1).

    The unbiased maximum-likelihood estimate, from the distances r1 and r2 to the first and second neighbour (Facco et
    al. 2017; Denti et al. 2022). Coinciding points count once. NaN for fewer than five distinct points.
    """
    square = np.diag(gram)
    distance = square[:, None] + square[None, :] - 2 * gram
    same = distance <= _SAME * (square[:, None] + square[None, :])
    kept = ~np.tril(same, -1).any(1)
    if kept.sum() < 5:
        return np.nan
    distance = distance[np.ix_(kept, kept)]
    np.fill_diagonal(distance, np.inf)
    nearest = np.partition(distance, 1, axis=1)[:, :2]
    # Distances are squared, so the logarithm of their ratio is twice the one needed.
    total = 0.5 * np.log(nearest[:, 1] / nearest[:, 0]).sum()
    return float((kept.sum() - 1) / total) if total > 0 else np.nan
