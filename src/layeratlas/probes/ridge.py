"""Ridge regression on +-1 or on numbers, its penalty chosen by generalised cross-validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layeratlas.contracts import Gram, Probe

PENALTIES = tuple(10.0**k for k in range(7))


class Ridge(Probe):
    """Ridge in the dual: one eigendecomposition serves every penalty and every label column.

    The penalty is chosen for each column from 1e0 ... 1e6 by generalised cross-validation on the training rows
    (Golub, Heath and Wahba 1979). As a classifier it regresses +-1 and predicts the sign or the largest score.
    """

    name = "ridge"
    numbers = True

    def __init__(self, penalties: tuple[float, ...] = PENALTIES) -> None:
        self.penalties = penalties

    def solve(self, gram: Gram, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return dual coefficients (n, k) and intercepts (k,); the intercept is not penalised."""
        intercept = y.mean(0)
        values, vectors = gram.values, gram.vectors
        target = vectors.T @ (y - intercept)
        n = len(y)
        best, chosen = np.full(y.shape[1], np.inf), np.ones(y.shape[1])
        for penalty in self.penalties:
            shrink = penalty / (values + penalty)
            # The training rows are centred, so the constant is one eigenvector with value 0; it belongs to the
            # intercept and not to the residual, hence the -1.
            freedom = max(shrink.sum() - 1.0, 1e-12)
            gcv = n * ((shrink[:, None] * target) ** 2).sum(0) / freedom**2
            better = gcv < best
            best, chosen = np.where(better, gcv, best), np.where(better, penalty, chosen)
        return vectors @ (target / (values[:, None] + chosen)), intercept


PLUGIN = Ridge()
