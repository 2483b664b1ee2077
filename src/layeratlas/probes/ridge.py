"""Ridge regression on +-1 or on numbers, its penalty chosen by leave-one-out on the training rows."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._contract import Gram, Probe

PENALTIES: tuple[float, ...] = ProbeSpec().penalties


class Ridge(Probe):
    """Ridge in the dual: one eigendecomposition serves every penalty and every label column.

    The penalty is chosen for each column from 1e0 ... 1e6 by the squared error of leave-one-out on the training
    rows, in closed form (Golub, Heath and Wahba 1979); equal to scikit-learn's `RidgeCV` on standardised features.
    As a classifier it regresses +-1 and predicts the sign or the largest score.
    """

    name = "ridge"
    label = "Ridge"
    summary = "ridge regression on +-1 or on numbers, penalty by leave-one-out; classes and numbers"
    predicts_numbers = True

    def __init__(self, penalties: tuple[float, ...] = PENALTIES) -> None:
        self.penalties = penalties

    def configured(self, spec: ProbeSpec) -> Ridge:
        """Return ridge with the spec's grid of penalties."""
        return Ridge(spec.penalties)

    def solve(self, gram: Gram, y: Floats) -> tuple[Floats, Floats]:
        """Return dual coefficients (n, k) and intercepts (k,); the intercept is not penalised."""
        n, intercept = len(y), y.mean(0)
        centred = y - intercept
        target = gram.vectors.T @ centred
        # The part of the labels outside the span of the eigenvectors has eigenvalue 0.
        rest = centred - gram.vectors @ target if gram.vectors.shape[1] < n else np.zeros_like(y)
        squares = gram.vectors**2
        outside = 1 - squares.sum(1)
        best, dual = np.full(y.shape[1], np.inf), np.zeros(y.shape)
        for penalty in self.penalties:
            shrink = 1 / (gram.values + penalty)
            candidate = gram.vectors @ (shrink[:, None] * target) + rest / penalty
            # The leave-one-out error of a row is its coefficient over the diagonal of the inverse. The constant is an
            # eigenvector of the centred Gram matrix with value 0; the free intercept takes it out of the inverse.
            diagonal = squares @ shrink + (outside - 1 / n) / penalty
            error = ((candidate / diagonal[:, None]) ** 2).mean(0)
            better = error < best
            best, dual = np.where(better, error, best), np.where(better, candidate, dual)
        return dual, intercept


PLUGIN = Ridge()
