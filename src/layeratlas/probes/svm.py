"""Linear support vector machine: many label columns at once, from one eigendecomposition."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from layeratlas.contracts import Gram, Probe
from layeratlas.errors import DataError

_RELAX, _CHECK_EVERY = 1.7, 20


class LinearSVM(Probe):
    """Hinge-loss linear SVM with an unpenalised intercept, C = 1 at every layer.

    One C for all layers: tuning it per layer would blur their comparison. The optimum is that of
    `sklearn.svm.SVC(kernel="linear", C=C)` on standardised features, found by ADMM (Boyd et al. 2011, sec. 8):
    its smoothing step is a ridge fit, so one eigendecomposition serves every iteration and every column, where
    libsvm starts anew for each. Iterations stop when no training score moves by more than `tolerance` (the
    margin is 1).
    """

    name = "svm"
    summary = "linear support vector machine, C = 1 at every layer; classes only"

    def __init__(self, C: float = 1.0, tolerance: float = 1e-3, iterations: int = 2000) -> None:
        self.C, self.tolerance, self.iterations = C, tolerance, iterations

    def solve(self, gram: Gram, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return dual coefficients (n, k) and intercepts (k,); `y` (n, k) is +-1."""
        if not np.isin(y, (-1.0, 1.0)).all():
            raise DataError("the svm probe was given labels other than -1 and 1", "classes", "use --probe ridge")
        positive = gram.values[gram.values > 1e-9 * max(gram.values[-1], 1e-12)]
        if not len(positive):  # every training row is the same: nothing but the intercept can be fitted
            return np.zeros(y.shape), np.sign(y.mean(0))
        # The penalty 1/rho decides the speed alone. The median eigenvalue splits the spectrum evenly between fast and
        # slow directions; but where the rows do not fill the rank (n > d, or rows that repeat) labels need not be
        # separable, the price moves up to C times the penalty, and a tenth of it converges far sooner.
        full = len(positive) >= len(y) - 1
        penalty = float(np.median(positive)) * (1.0 if full else 0.1)
        smooth = (gram.vectors * (gram.values / (gram.values + penalty))) @ gram.vectors.T
        target = self._iterate(smooth.astype(np.float32), y.astype(np.float32), self.C * penalty).astype(float)
        intercept = target.mean(0)
        return gram.vectors @ ((gram.vectors.T @ (target - intercept)) / (gram.values[:, None] + penalty)), intercept

    def _iterate(self, smooth: NDArray[np.float32], y: NDArray[np.float32], step: float) -> NDArray[np.float32]:
        """Return what the smoother is applied to at the optimum, (n, k)."""
        out, active = np.zeros_like(y), np.arange(y.shape[1])
        margin, price = np.zeros_like(y), np.zeros_like(y)
        labels = y
        for turn in range(1, self.iterations + 1):
            target = margin - price
            # The Gram matrix is centred, so the smoother maps constants to 0 and the mean is the intercept.
            fit = smooth @ target + target.mean(0)
            relaxed = _RELAX * fit + (1 - _RELAX) * margin + price
            signed = labels * relaxed
            new = labels * np.where(signed < 1 - step, signed + step, np.maximum(signed, 1))
            price = relaxed - new
            if turn % _CHECK_EVERY == 0 or turn == self.iterations:
                moved = np.maximum(np.abs(new - margin).max(0), np.abs(new - fit).max(0))
                out[:, active] = new - price
                stay = moved > self.tolerance
                active, labels, new, price = active[stay], labels[:, stay], new[:, stay], price[:, stay]
                if not len(active):
                    break
            margin = new
        return out


PLUGIN = LinearSVM()
