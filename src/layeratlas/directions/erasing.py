"""Linear erasure of a label in closed form (LEACE): the smallest change after which no linear probe decodes the label.

Belrose et al. (2023), arXiv 2306.03819. Let S be the covariance of the vectors, C the cross-covariance of vectors and
labels (one column per class), W = S^(-1/2), and P the orthogonal projection on the columns of W C. Then x becomes x -
W^-1 P W (x - mean). Afterwards every direction is uncorrelated with the labels, and among all affine maps with that
property this one changes the vectors least, in the norm of any inner product. With fewer vectors than dimensions S is
singular, and an eraser fitted on some texts would not work on others; S is then shrunk towards a multiple of the
identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats, Ints

# Singular values below this fraction of the largest are rounding errors.
_RANK = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Eraser:
    """x becomes x - left @ right @ (x - mean): `left` (d, r), `right` (r, d), `mean` (d,), r at most classes - 1."""

    left: Floats
    right: Floats
    mean: Floats

    def change(self, x: Floats) -> Floats:
        """Return the change (n, d) that erasure makes to vectors x (n, d)."""
        moved: Floats = -((x - self.mean) @ self.right.T) @ self.left.T
        return moved

    def __call__(self, x: Floats) -> Floats:
        """Return vectors x (n, d) with the label erased."""
        erased: Floats = x + self.change(x)
        return erased


def shrinkage(x: Floats) -> float:
    """Return the optimal shrinkage of the covariance of x (n, d) to a multiple of the identity, 0 to 1.

    Ledoit and Wolf (2004): the share that minimises the expected squared error of the covariance.
    """
    n, d = x.shape
    centred = x - x.mean(0)
    gram = centred @ centred.T / n
    of_squares = float((gram**2).sum())  # the squared Frobenius norm of the covariance
    trace = float(np.trace(gram))
    distance = of_squares - trace**2 / d
    error = n * float((np.diag(gram) ** 2).sum()) - of_squares
    return 0.0 if distance <= 0 else float(min(1.0, max(0.0, error / n / distance)))


def fit_eraser(x: Floats, codes: Floats | Ints, shrunk: float | None = None) -> Eraser:
    """Return the eraser of class codes (n,) fitted on vectors x (n, d), both float64.

    `shrunk` is the weight of the identity in the covariance (default: from `shrinkage`); 0 is LEACE as published.
    """
    mean = x.mean(0)
    share = shrinkage(x) if shrunk is None else shrunk
    # In the span of the texts, which holds the cross-covariance, W is diagonal.
    _, sizes, basis = np.linalg.svd(x - mean, full_matrices=False)
    kept = sizes > _RANK * max(sizes[0], 1e-300)
    basis, values = basis[kept], sizes[kept] ** 2 / len(x)
    root = np.sqrt((1 - share) * values + share * values.sum() / x.shape[1])
    labels = (codes[:, None] == np.unique(codes)).astype(np.float64)
    whitened = (basis @ (x - mean).T @ (labels - labels.mean(0)) / len(x)) / root[:, None]
    columns, strengths, _ = np.linalg.svd(whitened, full_matrices=False)
    columns = columns[:, strengths > _RANK * max(strengths[0], 1e-300)]
    return Eraser(left=basis.T @ (root[:, None] * columns), right=(columns / root[:, None]).T @ basis, mean=mean)
