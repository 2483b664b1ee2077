"""Surrogate signals without boundaries: the null distribution of the existence test.

Surrogates are constrained realisations (Theiler and Prichard 1996): each has exactly the measured signals' cubic trend,
size of residuals, lag-1 autocorrelation of residuals, and correlations between signals. Surrogates drawn from a fitted
model would match these only on average. They would add their own noise to the noise already contained in the fit, above
all in the trend, and would be easier to segment than the measured signals. The test would then hardly ever reject for
white or autocorrelated noise.
"""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats

_DEGREE = 3
# Steps of the bisection, and the half-width of its range.
_STEPS, _EDGE = 18, 14.0
_RANK = 1e-9


def surrogates(signals: Floats, count: int, seed: int, step: int | None = None) -> Floats:
    """Return boundary-free signals (count, S, L) with the trend, size and autocorrelation of signals (S, L).

    With `step`, the trend is a quadratic with one step before that block.

    Residuals are expanded in directions that are orthogonal to the trend and have known autocorrelation. Their
    amplitudes are replaced by autoregressive noise, which removes the position of every feature.
    """
    names, layers = signals.shape
    depth = np.linspace(-1, 1, layers)
    trend_basis = np.vander(depth, _DEGREE + 1)
    if step is not None:  # a cubic and a step would leave too few degrees of freedom for a second step
        trend_basis = np.column_stack([np.vander(depth, _DEGREE), np.arange(layers) >= step])
    basis = np.linalg.qr(trend_basis, mode="complete")[0]
    correlations, directions = _directions(basis[:, trend_basis.shape[1] :])
    amplitudes = signals @ directions
    size = np.linalg.norm(amplitudes, axis=-1, keepdims=True)
    rho = _autocorrelation_of(amplitudes**2, correlations)
    white = amplitudes / _weights(_solve(np.ones_like(amplitudes), correlations, rho), correlations)
    noise = _correlated(np.random.default_rng(seed).normal(size=(count, names, len(correlations))), white)
    drawn = noise * _weights(_solve(noise**2, correlations, rho), correlations)
    length = np.linalg.norm(drawn, axis=-1, keepdims=True)
    drawn *= np.divide(size, length, out=np.zeros_like(length), where=length > 0)
    trend = signals - amplitudes @ directions.T
    surrogate: Floats = trend + drawn @ directions.T
    return surrogate


def _directions(outside: Floats) -> tuple[Floats, Floats]:
    """Return autocorrelations (K,), ascending, of orthonormal directions (L, K) in the space of `outside` (L, K)."""
    layers = len(outside)
    neighbours = (np.eye(layers, k=1) + np.eye(layers, k=-1)) / 2
    correlations, rotation = np.linalg.eigh(outside.T @ neighbours @ outside)
    return correlations, outside @ rotation


def _autocorrelation_of(energy: Floats, correlations: Floats) -> Floats:
    """Return the autocorrelation (...) of residuals with energy (..., K) in directions of known autocorrelation."""
    total = energy.sum(-1)
    rho: Floats = np.divide(energy @ correlations, total, out=np.zeros_like(total), where=total > 0)
    return rho


def _weights(slope: Floats, correlations: Floats) -> Floats:
    """Return the amplitude (..., K) of first-order autoregressive noise in each direction.

    Its energy in a direction of autocorrelation a is proportional to 1 / (1 + rho^2 - 2 rho a). `slope` ranges from
    -inf (all noise in the first direction) to inf (all noise in the last).
    """
    middle = (correlations[-1] + correlations[0]) / 2
    half = (correlations[-1] - correlations[0]) / 2 or 1.0  # 0 if one direction is left
    weights: Floats = 1 / np.sqrt(1 - np.tanh(slope)[..., None] * (correlations - middle) / half)
    return weights


def _solve(energy: Floats, correlations: Floats, rho: Floats) -> Floats:
    """Return the slope (...) at which noise of energy (..., K) has the autocorrelation rho (S,), by bisection.

    The autocorrelation increases with the slope, so there is one solution for every rho between those of the first and
    the last direction. The bisection is implemented here because scipy's takes scalars only, and there are thousands
    of equations.
    """
    low, high = (np.full(energy.shape[:-1], end) for end in (-_EDGE, _EDGE))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = _autocorrelation_of(energy * _weights(middle, correlations) ** 2, correlations) < rho
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    slope: Floats = (low + high) / 2
    return slope


def _correlated(noise: Floats, observed: Floats) -> Floats:
    """Return noise (B, S, K) with exactly the correlations between signals of `observed` (S, K) (Langsrud 2005)."""
    length = np.linalg.norm(observed, axis=-1, keepdims=True)
    unit = np.divide(observed, length, out=np.zeros_like(observed), where=length > 0)
    correlated: Floats = _power(unit @ unit.T, 0.5) @ _power(noise @ noise.swapaxes(1, 2), -0.5) @ noise
    return correlated


def _power(products: Floats, exponent: float) -> Floats:
    """Return a power of symmetric matrices (..., S, S), without their null space."""
    values, vectors = np.linalg.eigh(products)
    kept = values > _RANK * values[..., -1:]
    powers = np.where(kept, np.where(kept, values, 1.0) ** exponent, 0.0)
    power: Floats = (vectors * powers[..., None, :]) @ vectors.swapaxes(-1, -2)
    return power
