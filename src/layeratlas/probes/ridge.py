"""Ridge regression on +-1 or on numbers; leave-one-out on the training rows chooses the penalty."""

from __future__ import annotations

from collections.abc import Iterator

from layeratlas.core.arrays import Array
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._contract import Probe
from layeratlas.probes._gram import Gram

# Leave-one-out errors in float32 that differ by less than this fraction are compared in float64. They are precise to a
# tenth of it, but with few rows to 1e-5 at width 4096 and to 5e-5 at 16384, where a penalty chosen for that is as good.
_NEAR = 2e-5
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
        xp = gram.xp
        intercept = xp.mean(y, axis=-2)
        centred = y - intercept[..., None, :]
        if gram.spectral:
            return gram.inverse(self._chosen(gram, centred)) @ centred, intercept
        best = dual = None
        for error, candidate in self._errors(gram, centred):
            if best is None or dual is None:
                best, dual = error, candidate
                continue
            better = (error < best)[..., None, :]
            best, dual = xp.where(better[..., 0, :], error, best), xp.where(better, candidate, dual)
        return dual, intercept

    def _chosen(self, gram: Gram, y: Array) -> Array:
        """Return the penalty of each column (..., k), the one of the least leave-one-out error.

        Errors are computed in float32, and those of columns whose two best penalties nearly tie in float64.
        """
        xp = gram.xp
        errors = xp.stack([error for error, _ in self._errors(gram, xp.astype(y, xp.float32))])
        if len(self.penalties) > 1:
            least = xp.sort(errors, axis=0)[:2]
            tied = xp.reshape(least[1] - least[0] <= _NEAR * least[1], (-1, y.shape[-1]))
            columns = xp.nonzero(xp.any(tied, axis=0))[0]
            if len(columns):
                errors = xp.astype(errors, y.dtype)
                errors[..., columns] = xp.stack([error for error, _ in self._errors(gram, y[..., columns])])
        return xp.asarray(self.penalties, dtype=y.dtype)[xp.argmin(errors, axis=0)]

    def _errors(self, gram: Gram, y: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the squared leave-one-out error (..., k) and the dual coefficients (..., n, k) at each penalty.

        The error of a row is its dual coefficient divided by the diagonal of the inverse. The constant is an
        eigenvector of the centred Gram matrix with eigenvalue 0; the free intercept removes it from the inverse.
        """
        xp, n = gram.xp, y.shape[-2]
        one, solved = xp.ones((1, n), dtype=y.dtype, device=y.device), gram.inverses(self.penalties, y)
        for penalty, (candidate, diagonal) in zip(self.penalties, solved, strict=True):
            left_out = candidate * xp.astype(1 / (diagonal - 1 / (n * penalty)), y.dtype)[..., None]
            yield (one @ (left_out * left_out))[..., 0, :], candidate


PLUGIN = Ridge()
