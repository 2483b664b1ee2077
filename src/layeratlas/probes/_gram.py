"""The Gram matrix that all probes share, for one training set or a batch of layers, on any device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from array_api_compat import array_namespace, is_numpy_array

from layeratlas.core.arrays import Array

# Eigenvalues below this fraction of the largest are rounding errors.
_RANK_TOLERANCE = 1e-12
# In the typical eigenvalue, zero eigenvalues count as this fraction of the mean eigenvalue.
_FLOOR = 1e-3
_TINIEST = 1e-300
# Columns from which a product takes its time in arithmetic, not in reading the matrix.
_WIDE = 64
# The approximate number of fits of an iterative solver; a product of (n, n) matrices must pay off within these.
_ITERATIONS = 100


@dataclass(frozen=True)
class RidgeMap:
    """Ridge with a free intercept, at one penalty per Gram matrix; `inverse @ target` gives dual coefficients.

    The map of fits is `first` (..., n, n), or, for few columns, the unmultiplied factors `second @ first`; in float32.
    `own` times the target is added.
    """

    inverse: Any
    first: Array
    second: Array | None = None
    own: float = 0.0

    def fit(self, target: Array) -> Array:
        """Return K (K + p)^-1 target + mean(target), (..., n, k) in float32."""
        fitted = self.first @ target
        if self.second is not None:
            fitted = self.second @ fitted
        if self.own:
            fitted += self.own * target
        return fitted

    def blended(self, fitted: float, own: float) -> RidgeMap:
        """Return the map whose `fit` is `fitted` times that of this one, plus `own` times the target."""
        if self.second is not None:
            return replace(self, second=fitted * self.second, own=own)
        xp = array_namespace(self.first)
        one = xp.eye(self.first.shape[-1], dtype=self.first.dtype, device=self.first.device)
        return replace(self, first=fitted * self.first + own * one)


@dataclass(frozen=True)
class _Spectrum:
    """(K + p)^-1 from eigenvalues (..., r), eigenvectors (..., n, r) and penalties (..., 1), or (..., k) by column."""

    values: Array
    vectors: Array
    penalty: Array

    def __matmul__(self, target: Array) -> Array:
        each = self.penalty[..., None, :]
        # What lies outside the span of the eigenvectors has eigenvalue 0.
        shrink = 1 / (self.values[..., None] + each) - 1 / each
        solved: Array = self.vectors @ (shrink * (self.vectors.mT @ target)) + target / each
        return solved


class Gram:
    """Inner products of training rows, from features (..., n, d) in float64 that are centred on these rows.

    Leading axes are a batch, such as layers. Arrays may be of any namespace of the array API, on any device. On a CPU
    one eigendecomposition, computed on first use, serves every probe, penalty and label column; with more rows than
    features it is computed from the smaller (d, d) matrix. On other devices, where eigendecompositions are slow, each
    penalty needs one inverse.
    """

    def __init__(self, features: Array) -> None:
        self._features = features
        self.xp: Any = array_namespace(features)
        self._known_diagonals: dict[tuple[float, ...], Array] = {}

    @property
    def matrix(self) -> Array:
        """The inner products, (..., n, n)."""
        return self._features @ self._features.mT

    @property
    def share_of_rank(self) -> float:
        """The matrix's largest possible rank as a fraction of its rows; 1 with at least as many features as rows."""
        return min(1.0, int(self._features.shape[-1]) / self.rows)

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes, () for one training set."""
        return tuple(self._features.shape[:-2])

    @property
    def layers(self) -> list[Gram]:
        """The Gram matrix of each member of the batch, as numpy arrays; without a batch, only this one."""
        n, d = self._features.shape[-2:]
        return [Gram(to_numpy(features)) for features in self.xp.reshape(self._features, (-1, n, d))]

    @cached_property
    def _eigh(self) -> tuple[Array, Array]:
        xp, (n, d) = self.xp, self._features.shape[-2:]
        if n <= d:
            values, vectors = xp.linalg.eigh(self.matrix)
            return xp.clip(values, 0.0, None), vectors
        values, directions = xp.linalg.eigh(self._features.mT @ self._features)
        kept = values > _RANK_TOLERANCE * xp.clip(values[..., -1:], _TINIEST, None)
        values = xp.where(kept, values, xp.zeros_like(values))
        scale = xp.where(kept, 1 / xp.sqrt(xp.where(kept, values, xp.ones_like(values))), xp.zeros_like(values))
        return values, self._features @ (directions * scale[..., None, :])

    @property
    def values(self) -> Array:
        """Eigenvalues (..., r) in ascending order, at least 0; r = min(n, d), and the other n - r are 0."""
        return self._eigh[0]

    @property
    def vectors(self) -> Array:
        """Eigenvectors (..., n, r), one per column; with more rows than features, zero for an eigenvalue of 0.

        The orthogonal complement has eigenvalue 0.
        """
        return self._eigh[1]

    @cached_property
    def _rounded(self) -> Array:
        """The eigenvectors in float32."""
        return self.xp.astype(self.vectors, self.xp.float32)

    def _diagonals(self, penalties: tuple[float, ...]) -> Array:
        """Return the diagonals (..., n, m) of the inverses at m penalties, from eigenvectors; computed once."""
        if penalties not in self._known_diagonals:
            squares = self.vectors**2
            p = self.xp.asarray(penalties, dtype=squares.dtype)
            found = squares @ (1 / (self.values[..., None] + p))
            if self.vectors.shape[-1] < self.rows:
                found += (1 - self.xp.sum(squares, axis=-1))[..., None] / p
            self._known_diagonals[penalties] = found
        return self._known_diagonals[penalties]

    @property
    def spectral(self) -> bool:
        """Whether to solve by eigenvectors: True on a CPU."""
        return is_numpy_array(self._features)

    @property
    def rows(self) -> int:
        """The number of training rows."""
        return int(self._features.shape[-2])

    def inverses(self, penalties: Sequence[float], y: Array) -> Iterator[tuple[Array, Array]]:
        """Yield, for each penalty p, (K + p)^-1 y (..., n, k) and the diagonal (..., n) of the inverse.

        In float32 on a CPU, if y is, products take half the time; the diagonal is in float64 all the same.
        """
        xp = self.xp
        if not self.spectral:
            matrix, one = self.matrix, self._identity(y.dtype)
            for penalty in penalties:
                inverse = xp.linalg.inv(matrix + penalty * one)
                yield inverse @ y, xp.linalg.diagonal(inverse)
            return
        vectors = self.vectors if y.dtype == xp.float64 else self._rounded
        rotated = vectors.mT @ y
        # The component of the labels outside the span of the eigenvectors has eigenvalue 0.
        rest = None if vectors.shape[-1] == self.rows else y - vectors @ rotated
        k, step = y.shape[-1], max(1, _WIDE // y.shape[-1])
        for first in range(0, len(penalties), step):
            part = penalties[first : first + step]
            shrunk = [xp.astype(1 / (self.values + p), y.dtype)[..., None] * rotated for p in part]
            together = vectors @ (xp.concat(shrunk, axis=-1) if step > 1 else shrunk[0])
            for i, penalty in enumerate(part):
                solved = together[..., i * k : (i + 1) * k]
                if rest is not None:
                    solved = solved + rest / penalty
                yield solved, self._diagonals(tuple(penalties))[..., first + i]

    def inverse(self, penalty: Array) -> Any:
        """Return (K + p)^-1 as what multiplies (..., n, k), at penalties (..., 1), or (..., k) of one per column.

        For a CPU alone.
        """
        return _Spectrum(self.values, self.vectors, penalty)

    def ridge(self, penalty: Array, columns: int) -> RidgeMap:
        """Return ridge fits with intercepts at one penalty (...,) per matrix, for about `columns` columns at a time."""
        xp, each, n = self.xp, penalty[..., None], self.rows
        if not self.spectral:
            each, one = each[..., None], self._identity(penalty.dtype)
            inverse = xp.linalg.inv(self.matrix + each * one)
            return RidgeMap(inverse, xp.astype(one - each * inverse + 1 / n, xp.float32))
        root = xp.astype(xp.sqrt(self.values / (self.values + each)), xp.float32)
        # The matrix is centred, so that the constant is one more eigenvector; its weight of 1 is the intercept's.
        rank = self.vectors.shape[-1]
        half = xp.empty((*self.vectors.shape[:-1], rank + 1), dtype=xp.float32)
        xp.multiply(self._rounded, root[..., None, :], out=half[..., :-1])
        half[..., -1] = n**-0.5
        if n <= 2 * rank < 2 * columns * _ITERATIONS:
            return RidgeMap(self.inverse(each), half @ half.mT)
        return RidgeMap(self.inverse(each), half.mT, half)

    def typical_value(self) -> Array:
        """Return the geometric mean (...,) of the min(n, d) eigenvalues; zeros count as a thousandth of the mean."""
        xp, (n, d) = self.xp, self._features.shape[-2:]
        if self.spectral:
            floor = _FLOOR * xp.mean(self.values, axis=-1) + _TINIEST
            return xp.exp(xp.mean(xp.log(self.values + floor[..., None]), axis=-1))
        mean = xp.sum(self._features**2, axis=(-2, -1)) / min(n, d)
        floor = _FLOOR * mean + _TINIEST
        matrix = self.matrix if n <= d else self._features.mT @ self._features
        one = xp.eye(min(n, d), dtype=mean.dtype, device=mean.device)
        return xp.exp(xp.linalg.slogdet(matrix + floor[..., None, None] * one)[1] / min(n, d))

    def _identity(self, dtype: Any) -> Array:
        return self.xp.eye(self.rows, dtype=dtype, device=self._features.device)


def to_numpy(array: Array) -> Any:
    """Return an array of any namespace and device as a numpy array."""
    if is_numpy_array(array):
        return array
    return array.cpu().numpy() if hasattr(array, "cpu") else array_namespace(array).asarray(array, device="cpu")
