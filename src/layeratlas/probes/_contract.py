"""The interface of a probe, and the Gram matrix that probes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.core.spec import ProbeSpec

# Eigenvalues below this fraction of the largest are rounding errors.
_RANK_TOLERANCE = 1e-12
# A control of fewer shuffles says little: the smallest p-value that it allows is 1 / 21.
_FEWEST_SHUFFLES = 20


class Gram:
    """Inner products of training rows, from features (n, d) in float64 that are centred on these rows.

    The eigendecomposition is computed once, on first use, and shared by all probes. With more rows than features it
    comes from the smaller matrix of products, (d, d).
    """

    def __init__(self, features: Floats) -> None:
        self._features = features

    @property
    def matrix(self) -> Floats:
        """The inner products, (n, n)."""
        return self._features @ self._features.T

    @cached_property
    def _eigh(self) -> tuple[Floats, Floats]:
        n, d = self._features.shape
        if n <= d:
            values, vectors = np.linalg.eigh(self.matrix)
            return np.maximum(values, 0.0), vectors
        values, directions = np.linalg.eigh(self._features.T @ self._features)
        kept = values > _RANK_TOLERANCE * max(values[-1], 1e-300)
        values = values[kept]
        return values, (self._features @ directions[:, kept]) / np.sqrt(values)

    @property
    def values(self) -> Floats:
        """Eigenvalues (r,) in ascending order, at least 0; r <= n, and the n - r others are 0."""
        return self._eigh[0]

    @property
    def vectors(self) -> Floats:
        """Eigenvectors (n, r), one per column; the orthogonal complement has eigenvalue 0."""
        return self._eigh[1]


class Probe(ABC):
    """A linear probe, solved in the dual so that many label columns share one Gram matrix.

    A label column is +-1 for one class against the rest, or numbers to predict.

    `name` is the code in tables and `label` what reports call the probe (the name, where there is no label).
    `predicts_numbers` tells whether it predicts numbers as well as classes; `costly_shuffles` whether each label
    shuffle costs a fit of its own.
    """

    name: str = ""
    label: str = ""
    summary: str = ""
    predicts_numbers: bool = False
    costly_shuffles: bool = False

    def configured(self, spec: ProbeSpec) -> Probe:
        """Return the probe with the settings of a spec that apply to it."""
        return self

    def shuffles(self, requested: int) -> int:
        """Return how many of the requested label shuffles to run: of costly ones a fifth, at least 20."""
        return max(_FEWEST_SHUFFLES, requested // 5) if self.costly_shuffles else requested

    @abstractmethod
    def solve(self, gram: Gram, y: Floats) -> tuple[Floats, Floats]:
        """Fit every column of `y` (n, k) and return dual coefficients (n, k) and intercepts (k,).

        A new row with inner products `g` (n,) scores `g @ dual + intercept`.
        """


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One split of one repeat: row numbers of the training and the test part."""

    repeat: int
    train: Ints
    test: Ints
