"""Ridge regression on +-1 or on numbers; leave-one-out on the training rows chooses the penalty."""

from __future__ import annotations

from layeratlas.core.arrays import Array
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._contract import Probe
from layeratlas.probes._gram import Gram

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
    batched = True

    def __init__(self, penalties: tuple[float, ...] = PENALTIES) -> None:
        self.penalties = penalties

    def configured(self, spec: ProbeSpec) -> Ridge:
        """Return ridge with the spec's grid of penalties."""
        return Ridge(spec.penalties)

    def solve(self, gram: Gram, y: Array) -> tuple[Array, Array]:
        """Return dual coefficients (..., n, k) and intercepts (k,); the intercept is not penalised."""
        xp, n = gram.xp, y.shape[-2]
        intercept = xp.mean(y, axis=-2)
        solved = gram.inverses(self.penalties, y - intercept[..., None, :])
        best = dual = None
        for penalty, (candidate, diagonal) in zip(self.penalties, solved, strict=True):
            # The leave-one-out error of a row is its dual coefficient divided by the diagonal of the inverse. The
            # constant is an eigenvector of the centred Gram matrix with eigenvalue 0; the free intercept removes it
            # from the inverse.
            weights = 1 / (diagonal - 1 / (n * penalty)) ** 2
            error = weights[..., None, :] @ (candidate * candidate)  # (..., 1, k)
            if best is None or dual is None:
                best, dual = error, candidate
                continue
            better = error < best
            best, dual = xp.where(better, error, best), xp.where(better, candidate, dual)
        return dual, intercept


PLUGIN = Ridge()
