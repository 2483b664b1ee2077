"""What a probe promises, and the inner products that probes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.spec import ProbeSpec

# An eigenvalue smaller than this part of the largest is rounding.
_RANK = 1e-12


class Gram:
    """Inner products of the training rows, features standardised on them, so every row and column sums to 0.

    Made of the features, float64 (n, d). The eigendecomposition is made once, when first asked for, and shared by all
    probes; where there are more rows than features, from the smaller of the two matrices of products.
    """

    def __init__(self, features: NDArray[np.float64]) -> None:
        self._features = features

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The inner products, (n, n)."""
        return self._features @ self._features.T

    @cached_property
    def _eigh(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n, d = self._features.shape
        if n <= d:
            values, vectors = np.linalg.eigh(self.matrix)
            return np.maximum(values, 0.0), vectors
        values, directions = np.linalg.eigh(self._features.T @ self._features)
        kept = values > _RANK * max(values[-1], 1e-300)
        values = values[kept]
        return values, (self._features @ directions[:, kept]) / np.sqrt(values)

    @property
    def values(self) -> NDArray[np.float64]:
        """Eigenvalues (r,), ascending, none below 0; r <= n, and those that are not listed are 0."""
        return self._eigh[0]

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Eigenvectors (n, r), one a column; what is orthogonal to them has eigenvalue 0."""
        return self._eigh[1]


class Probe(ABC):
    """A linear read-out, solved in the dual so that many label columns share one Gram matrix.

    Labels are columns of Y: +-1 for a class against the rest, or centred numbers.
    """

    name: str = ""
    summary: str = ""
    numbers: bool = False  # can it predict numbers as well as classes?
    costly: bool = False  # does each label shuffle cost a fit of its own?

    def using(self, spec: ProbeSpec) -> Probe:
        """Return the probe with those of the spec's settings that it has."""
        return self

    def shuffles(self, asked: int) -> int:
        """Return how many label shuffles are made where so many are asked for: of costly ones a fifth, at least 20."""
        return max(20, asked // 5) if self.costly else asked

    @abstractmethod
    def solve(self, gram: Gram, y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Fit every column of `y`, (n, k).

        Returns dual coefficients (n, k) and intercepts (k,): a new row scores `gram_new @ dual + intercept`.
        """


@dataclass(frozen=True)
class Fold:
    """One split: row numbers of the training and the test part."""

    repeat: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]
