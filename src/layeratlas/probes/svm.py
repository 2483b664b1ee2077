"""Linear support vector machine; one eigendecomposition serves many label columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace

from layeratlas.core.arrays import Array, Bools, Floats, Ints
from layeratlas.core.errors import DataError
from layeratlas.core.spec import ProbeSpec
from layeratlas.probes._contract import Probe
from layeratlas.probes._extrapolating import Extrapolation
from layeratlas.probes._gram import Gram, RidgeMap, to_numpy

# Over-relaxation, between 1.5 and 1.8 as Boyd et al. recommend. Iterations between two checks for convergence, after
# which the state is extrapolated, and between two balances of the penalty.
_RELAXATION, _CHECK_EVERY, _BALANCE_EVERY = 1.8, 10, 20
# What the relaxed step adds of its own target. With the state margin + price and the target margin - price, a step is
# relaxation * fit(target) - relaxation / 2 * target + (1 - relaxation / 2) * state (Douglas-Rachford).
_OWN = -_RELAXATION / 2
# A change of penalty costs a product of two (n, n) matrices, so changes are few and large.
_MOST_CHANGES, _SMALLEST_CHANGE = 4, 2.0
_TINY = 1e-12


class LinearSVM(Probe):
    """Hinge-loss linear SVM with an unpenalised intercept, the same C at every layer.

    All layers use one C, since tuning it per layer would blur their comparison. The optimum is that of
    `sklearn.svm.SVC(kernel="linear", C=C)` on standardised features, found by ADMM (Boyd et al. 2011, sec. 8). Its
    smoothing step is a ridge fit, so one eigendecomposition serves every iteration and column, while libsvm would start
    again for each. The iterations are extrapolated (Anderson acceleration; Fu, Zhang and Boyd 2020). They stop when no
    training score changes by more than `tolerance` (the margin is 1).
    """

    name = "svm"
    label = "Linear SVM"
    summary = "linear support vector machine, one C at every layer (default 1); classes only"
    costly_shuffles = True
    batched = True

    def __init__(self, C: float = 1.0, tolerance: float = 1e-3, iterations: int = 2000) -> None:
        self.C, self.tolerance, self.iterations = C, tolerance, iterations

    def configured(self, spec: ProbeSpec) -> LinearSVM:
        """Return the SVM at the spec's C."""
        return LinearSVM(spec.svm_c, self.tolerance, self.iterations)

    def solve(self, gram: Gram, y: Array) -> tuple[Array, Array]:
        """Return dual coefficients (..., n, k) and intercepts (..., k); `y` (n, k) is +-1."""
        xp = gram.xp
        if not xp.all(abs(y) == 1.0):
            raise DataError("the svm probe was given labels other than -1 and 1", "classes", "use --probe ridge")
        # The penalty 1/rho affects only the speed, and is rebalanced during the iterations. It starts at the typical
        # eigenvalue, which splits the spectrum evenly between fast and slow directions. It starts lower if more rows
        # than features leave labels that cannot be separated, because the price (dual variable) then moves up to C
        # times the penalty. Shuffled labels move the price more than the labels do: a half suits both.
        start = to_numpy(gram.typical_value()) * gram.share_of_rank**2 / 2
        dual, intercept = self._iterate(gram, xp.astype(y, xp.float32), np.maximum(start, _TINY))
        # If all training rows are equal, only the intercept can be fitted.
        flat = _like(start <= _TINY, y)[..., None]
        intercept = xp.where(flat, xp.sign(xp.mean(y, axis=-2)), intercept)
        return xp.where(flat[..., None], xp.zeros_like(dual), dual), intercept

    def _iterate(self, gram: Gram, y: Array, penalty: Floats) -> tuple[Array, Array]:
        """Return dual coefficients (..., n, k) and intercepts (..., k); `penalty` (...,) is the initial penalty."""
        xp = gram.xp
        y = xp.broadcast_to(y, (*penalty.shape, *y.shape[-2:]))
        found, changes, ahead = _Found(y), np.zeros(penalty.shape), Extrapolation()
        state = price = xp.zeros_like(y)  # the state is margin + price
        ridge, (least, most) = self._ridge(gram, penalty, y), self._bounds(penalty, y)
        for turn in range(1, self.iterations + 1):
            checked = turn % _CHECK_EVERY == 0 or turn == self.iterations
            target = state - price
            target -= price
            step = ridge.fit(target)
            if checked:
                fit, margin = (step - _OWN * target) / _RELAXATION, state - price
            # The relaxed fit plus the price: relaxation * fit - (relaxation - 1) * margin + price, on old values.
            state = (1 + _OWN) * state
            state += step
            price = xp.minimum(xp.maximum(state - y, least), most)
            ahead.add(state)
            if checked:
                new = state - price
                primal, dual = new - fit, new - margin
                moved = to_numpy(xp.maximum(xp.max(abs(dual), axis=-2), xp.max(abs(primal), axis=-2)))
                open_, kept = found.keep(ridge, new - price, (moved <= self.tolerance) | (turn == self.iterations))
                if not len(kept):
                    break
                factor = np.ones(penalty.shape)
                if turn % _BALANCE_EVERY == 0:
                    factor = _balance((primal, new, dual, price), open_, changes < _MOST_CHANGES)
                if np.any(factor != 1):
                    changes, penalty = changes + (factor != 1), penalty / factor
                    y, new, price = _kept((y, new, price), kept)
                    state = new + price / _like(factor, y)[..., None, None]
                    ridge, (least, most) = self._ridge(gram, penalty, y), self._bounds(penalty, y)
                    ahead.restart()
                else:
                    y, least, most = _kept((y, least, most), kept)
                    state = ahead.next(kept)
                price = xp.minimum(xp.maximum(state - y, least), most)
        return found.solutions()

    def _bounds(self, penalty: Floats, y: Array) -> tuple[Array, Array]:
        """Return the least and the largest price of each row and column (..., n, k)."""
        limit = _like(self.C * penalty, y)[..., None, None] * y
        zero = array_namespace(y).zeros_like(y)
        return _within(-limit, -abs(limit), zero), _within(-limit, zero, abs(limit))

    @staticmethod
    def _ridge(gram: Gram, penalty: Floats, y: Array) -> RidgeMap:
        wide = gram.xp.asarray(penalty, dtype=gram.xp.float64, device=y.device)
        return gram.ridge(wide, y.shape[-1]).blended(_RELAXATION, _OWN)


class _Found:
    """The solutions of label columns; each is stored when it first converges and does not change afterwards."""

    def __init__(self, y: Array) -> None:
        xp = array_namespace(y)
        self._xp, self._columns = xp, np.arange(y.shape[-1])
        self._open = np.ones((*y.shape[:-2], y.shape[-1]), dtype=bool)
        self._targets = xp.zeros_like(y)
        self._maps: list[tuple[RidgeMap, Bools]] = []

    def keep(self, ridge: RidgeMap, target: Array, converged: Bools) -> tuple[Bools, Ints]:
        """Store the targets of the columns that have converged, of which `ridge` is the fit.

        Return a mask (..., k) of the present columns that have not converged, by matrix, and the numbers of those
        columns that have not converged in some matrix.
        """
        done = self._open[..., self._columns] & converged
        some = np.flatnonzero(done.reshape(-1, done.shape[-1]).any(0))
        if len(some):
            at, now = self._columns[some], done[..., some]
            old = self._targets[..., at]
            self._targets[..., at] = self._xp.where(_like(now, target)[..., None, :], target[..., some], old)
            if not self._maps or self._maps[-1][0] is not ridge:
                self._maps.append((ridge, np.zeros_like(self._open)))
            self._maps[-1][1][..., at] |= now
            self._open[..., self._columns] &= ~done
        waiting = self._open[..., self._columns]
        kept = np.flatnonzero(waiting.reshape(-1, len(self._columns)).any(0))
        self._columns = self._columns[kept]
        return waiting, kept

    def solutions(self) -> tuple[Array, Array]:
        """Return dual coefficients (..., n, k) and intercepts (..., k) in float64, each column by the map it fits."""
        xp, wide = self._xp, self._xp.astype(self._targets, self._xp.float64)
        intercept = xp.mean(wide, axis=-2)
        wide -= intercept[..., None, :]
        dual = xp.zeros_like(wide)
        for ridge, mask in self._maps:
            at = np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(0))
            now = _like(mask[..., at], wide)[..., None, :]
            dual[..., at] = xp.where(now, ridge.inverse @ wide[..., at], dual[..., at])
        return dual, intercept


def _kept(terms: Sequence[Array], columns: Ints) -> list[Array]:
    """Return some columns of terms (..., n, k), in the layout of products: an index of columns would turn it round."""
    xp = array_namespace(terms[0])
    if len(columns) == terms[0].shape[-1]:
        return list(terms)
    at = xp.asarray(columns, device=terms[0].device)
    return [xp.take(term, at, axis=-1) for term in terms]


def _within(values: Array, least: Array, most: Array) -> Array:
    xp = array_namespace(values)
    return xp.minimum(xp.maximum(values, least), most)


def _like(values: Floats | Bools, array: Array) -> Array:
    """Return numpy values as an array of another one's namespace and device; floats take its dtype."""
    xp = array_namespace(array)
    return xp.asarray(values, dtype=xp.bool if values.dtype == bool else array.dtype, device=array.device)


def _norm(term: Array) -> Floats:
    """Return the norm of each column (..., k)."""
    norm: Floats = to_numpy(array_namespace(term).linalg.vector_norm(term, axis=-2))
    return norm


def _balance(terms: Sequence[Array], stay: Bools, free: Bools) -> Floats:
    """Return what to divide each penalty by (...,) so that primal and dual residual shrink at the same relative rate.

    Residual balancing (He, Yang and Wang 2000), on the median of the columns in `stay`. `terms` (..., n, k) are primal
    residual, margin, dual residual and price. The factor is 1 if a change does not pay, or is not `free` (...,).
    """
    if not free.any():
        return np.ones(free.shape)
    primal, margin, dual, price = (np.maximum(_norm(term), _TINY) for term in terms)
    ratios = np.where(stay, primal / margin / (dual / price), np.nan).reshape(-1, stay.shape[-1])
    medians = np.array([np.nanmedian(row) if np.isfinite(row).any() else 1.0 for row in ratios])
    factor = np.clip(np.sqrt(medians), 0.1, 10).reshape(stay.shape[:-1])
    return np.where(free & (np.maximum(factor, 1 / factor) > _SMALLEST_CHANGE), factor, 1.0)


PLUGIN = LinearSVM()
