"""Linear support vector machine, many label columns at once from one eigendecomposition."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._contract import Gram, Probe

# Over-relaxation, between 1.5 and 1.8 as Boyd et al. recommend, and iterations between two checks for convergence.
_RELAXATION, _CHECK_EVERY = 1.7, 20
# A change of penalty costs a product of two (n, n) matrices: few changes, and only by a factor that pays.
_MOST_CHANGES, _SMALLEST_CHANGE = 4, 2.0
# Eigenvalues below this fraction of the largest are rounding errors.
_RANK_TOLERANCE = 1e-9


class LinearSVM(Probe):
    """Hinge-loss linear SVM with an unpenalised intercept, the same C at every layer.

    One C for all layers: tuning it per layer would blur their comparison. The optimum is that of
    `sklearn.svm.SVC(kernel="linear", C=C)` on standardised features, found by ADMM (Boyd et al. 2011, sec. 8):
    its smoothing step is a ridge fit, so one eigendecomposition serves every iteration and every column, where
    libsvm starts anew for each. Iterations stop when no training score moves by more than `tolerance` (the
    margin is 1).
    """

    name = "svm"
    label = "Linear SVM"
    summary = "linear support vector machine, one C at every layer (default 1); classes only"
    costly_shuffles = True

    def __init__(self, C: float = 1.0, tolerance: float = 1e-3, iterations: int = 2000) -> None:
        self.C, self.tolerance, self.iterations = C, tolerance, iterations

    def configured(self, spec: ProbeSpec) -> LinearSVM:
        """Return the SVM at the spec's C."""
        return LinearSVM(spec.svm_c, self.tolerance, self.iterations)

    def solve(self, gram: Gram, y: Floats) -> tuple[Floats, Floats]:
        """Return dual coefficients (n, k) and intercepts (k,); `y` (n, k) is +-1."""
        if not np.isin(y, (-1.0, 1.0)).all():
            raise DataError("the svm probe was given labels other than -1 and 1", "classes", "use --probe ridge")
        nonzero = gram.values[gram.values > _RANK_TOLERANCE * max(gram.values.max(initial=0.0), 1e-12)]
        if not len(nonzero):  # all training rows are equal: only the intercept can be fitted
            return np.zeros(y.shape), np.sign(y.mean(0))
        # The penalty 1/rho affects speed alone, and is rebalanced during the iterations. It starts at the median
        # eigenvalue, which splits the spectrum evenly between fast and slow directions. Where the rows do not have
        # full rank (n > d, or repeated rows) labels need not be separable, the price moves up to C times the penalty,
        # and a tenth of it converges far sooner.
        full_rank = len(nonzero) >= len(y) - 1
        penalty = float(np.median(nonzero)) * (1.0 if full_rank else 0.1)
        target, penalties = self._iterate(_Smoother(gram), y.astype(np.float32), penalty)
        intercept = target.mean(0)
        centred = target - intercept
        rotated = gram.vectors.T @ centred
        inside = gram.vectors @ (rotated / (gram.values[:, None] + penalties) - rotated / penalties)
        return inside + centred / penalties, intercept

    def _iterate(self, smoother: _Smoother, y: FloatArray, penalty: float) -> tuple[Floats, Floats]:
        """Return the smoother's argument at the optimum (n, k), and the penalty of each column (k,)."""
        out, penalties = np.zeros(y.shape), np.full(y.shape[1], penalty)
        active, changes = np.arange(y.shape[1]), 0
        margin, price, labels = np.zeros_like(y), np.zeros_like(y), y
        smooth = smoother.at(penalty)
        for turn in range(1, self.iterations + 1):
            target = margin - price
            # The Gram matrix is centred, so the smoother maps constants to 0 and the mean is the intercept.
            fit = smooth @ target
            fit += target.mean(0)
            relaxed = fit * np.float32(_RELAXATION)
            relaxed += price
            relaxed -= margin * np.float32(_RELAXATION - 1)
            price = labels * -np.clip(1 - labels * relaxed, 0, self.C * penalty)
            new = relaxed - price
            if turn % _CHECK_EVERY == 0 or turn == self.iterations:
                primal, dual = new - fit, new - margin
                moved = np.maximum(np.abs(dual).max(0), np.abs(primal).max(0))
                out[:, active], penalties[active] = new - price, penalty
                stay = moved > self.tolerance
                if not stay.any():
                    break
                factor = _balance(primal[:, stay], dual[:, stay], new[:, stay], price[:, stay])
                active, labels, new, price = active[stay], labels[:, stay], new[:, stay], price[:, stay]
                if changes < _MOST_CHANGES and max(factor, 1 / factor) > _SMALLEST_CHANGE:
                    changes, penalty = changes + 1, penalty / factor
                    price /= np.float32(factor)
                    smooth = smoother.at(penalty)
            margin = new
        return out, penalties


class _Smoother:
    """Ridge fits as matrices: `at(penalty)` maps targets to fitted values, float32 (n, n)."""

    def __init__(self, gram: Gram) -> None:
        self._values, self._vectors = gram.values, np.ascontiguousarray(gram.vectors, dtype=np.float32)

    def at(self, penalty: float) -> FloatArray:
        shrink = (self._values / (self._values + penalty)).astype(np.float32)
        matrix: FloatArray = np.matmul(self._vectors * shrink, self._vectors.T, dtype=np.float32)
        return matrix


def _balance(primal: FloatArray, dual: FloatArray, margin: FloatArray, price: FloatArray) -> float:
    """Return what to divide the penalty by so that primal and dual residual shrink at the same relative rate.

    Residual balancing (He, Yang and Wang 2000), on the median column.
    """
    sizes = [np.maximum(np.linalg.norm(term, axis=0), 1e-12) for term in (primal, margin, dual, price)]
    return float(np.clip(np.sqrt(np.median(sizes[0] / sizes[1] / (sizes[2] / sizes[3]))), 0.1, 10))


PLUGIN = LinearSVM()
