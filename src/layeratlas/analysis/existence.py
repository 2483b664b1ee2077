"""Are there boundaries at all? Two cuts are found in any signal, so that they are compared with cuts of nothing.

The null is a smooth change over depth with noise that neighbouring layers share: a cubic trend and first-order
autoregressive residuals in each signal, with the signals' innovations correlated as they are. Its cuts leave a share
C2 / C0 of the cost; the p-value is the share of surrogates whose cuts leave no more than those observed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.analysis.boundaries import cost_curve, fuse, two_cuts

Floats = NDArray[np.float64]
SURROGATES = 199
_DEGREE = 3


@dataclass(frozen=True)
class Existence:
    """The share of cost that two cuts leave (`left`), its p-value and the same share of every surrogate (B,).

    `curve` (K+1,) is C_K / C_0 and `null_curves` (B, K+1) that of the surrogates. `shuffled_p` compares with the same
    layers in random order.
    """

    left: float
    p: float
    surrogates: Floats
    curve: Floats
    null_curves: Floats
    shuffled_p: float


def surrogates(signals: Floats, count: int, seed: int) -> Floats:
    """Return boundary-free signals (count, S, L) with the trend and the autocorrelation of signals (S, L)."""
    names, layers = signals.shape
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, layers), _DEGREE + 1))[0]
    trend = signals @ basis @ basis.T
    rest = signals - trend
    rho = np.array([_autocorrelation(r) for r in rest])
    innovations = rest[:, 1:] - rho[:, None] * rest[:, :-1]
    # Not enlarged for the fitted trend, which already holds its part of the noise: surrogates with more noise than the
    # signal would make a smooth ramp look cut.
    size = np.sqrt((innovations**2).sum(1) / (layers - 1))
    random = np.random.default_rng(seed)
    noise = np.einsum("st,btl->bsl", _mixer(innovations), random.normal(size=(count, names, layers)))
    noise *= size[:, None]
    series = np.empty_like(noise)
    series[..., 0] = noise[..., 0] / np.sqrt(1 - rho**2)
    for layer in range(1, layers):
        series[..., layer] = rho * series[..., layer - 1] + noise[..., layer]
    found: Floats = trend + series
    return found


def _autocorrelation(rest: Floats) -> float:
    """Return the lag-1 coefficient of residuals, within what a stationary series allows."""
    own = float(rest[:-1] @ rest[:-1])
    return float(np.clip(rest[1:] @ rest[:-1] / own, -0.9, 0.9)) if own > 0 else 0.0


def _mixer(innovations: Floats) -> Floats:
    """Return a matrix (S, S) that gives independent noise the correlations of the innovations (S, L-1)."""
    length = np.linalg.norm(innovations, axis=1, keepdims=True)
    unit = np.divide(innovations, length, out=np.zeros_like(innovations), where=length > 0)
    values, vectors = np.linalg.eigh(unit @ unit.T)
    mixer: Floats = vectors * np.sqrt(np.maximum(values, 0))
    return mixer


def existence_of(signals: Floats, groups: Sequence[str], seed: int = 0, count: int = SURROGATES) -> Existence:
    """Return whether mean signals (S, L) have two boundaries, against surrogates and against shuffled layers."""
    left = float(two_cuts(signals, groups)[1])
    made = surrogates(signals, count, seed)
    null = two_cuts(made, groups)[1]
    random = np.random.default_rng(seed + 1)
    orders = np.array([random.permutation(signals.shape[1]) for _ in range(count)])
    shuffled = two_cuts(signals[:, orders].transpose(1, 0, 2), groups)[1]
    return Existence(
        left,
        _p_value(null, left),
        null,
        cost_curve(fuse(signals, groups)),
        cost_curve(fuse(made, groups)),
        _p_value(shuffled, left),
    )


def _p_value(null: Floats, left: float) -> float:
    return float((1 + (null <= left + 1e-12).sum()) / (1 + len(null)))
