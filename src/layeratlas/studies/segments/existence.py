"""Are there boundaries at all? Two cuts are found in any signal, so that they are compared with cuts of nothing.

The null is a smooth change over depth with noise that neighbouring layers share: a cubic trend and first-order
autoregressive residuals in each signal, with the signals' innovations correlated as they are. Its cuts leave a share
C2 / C0 of the cost; the p-value is the share of surrogates whose cuts leave no more than those observed.

Two more things are cut well without having two boundaries, and each has a null of its own:

- One boundary. Surrogates with the signals' own first cut as a step, beside the trend, say whether a second cut lowers
  the cost (C2 / C1) more than it does where there is one.
- A steep smooth change at one end, of which clipped z-scores make a plateau. The first test is made once more on
  scores that are not clipped.

Two boundaries are there where all three say so; the p-value is the largest.

Surrogates are constrained realisations (Theiler and Prichard 1996): they have the trend, the residual size, the lag-1
autocorrelation and the correlations that the signals have, not only on average. Surrogates drawn from a fitted model
add noise of their own to the noise that the fit already holds (in the trend above all), are cut more easily than the
signals are, and white or autocorrelated noise is hardly ever rejected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.studies.segments.boundaries import best_cuts, cost_curve, fuse, shortest, stretch_costs, two_cuts

SURROGATES = 199
_DEGREE = 3
# Steps of a bisection, and how far it looks to either side.
_STEPS, _EDGE = 18, 14.0
_RANK = 1e-9


@dataclass(frozen=True)
class Existence:
    """The share of cost that two cuts leave (`left`), its p-value and the same share of every surrogate (B,).

    `p` is the largest of `smooth_p` (against smooth change), `unclipped_p` (the same without clipping) and `second_p`
    (against one boundary, before block `first`, and smooth change). `curve` (K+1,) is C_K / C_0 and `null_curves`
    (B, K+1) that of the surrogates. `shuffled_p` compares with the same layers in random order.
    """

    left: float
    smooth_p: float
    unclipped_p: float
    second_p: float
    first: int
    surrogates: Floats
    curve: Floats
    null_curves: Floats
    shuffled_p: float

    @property
    def p(self) -> float:
        """The p-value of two boundaries."""
        return max(self.smooth_p, self.unclipped_p, self.second_p)


def surrogates(signals: Floats, count: int, seed: int, step: int | None = None) -> Floats:
    """Return boundary-free signals (count, S, L) with what signals (S, L) have of trend, size and autocorrelation.

    With `step`, the trend is a square and one step before that block.

    Residuals are taken apart along the directions that are orthogonal to the trend and in which neighbouring layers
    are alike to a known degree; autoregressive noise has its own share of each, and which layer is which is lost.
    """
    names, layers = signals.shape
    depth = np.linspace(-1, 1, layers)
    kept = np.vander(depth, _DEGREE + 1)
    if step is not None:  # beside a step a cubic would leave too little of twelve layers to tell a second one by
        kept = np.column_stack([np.vander(depth, _DEGREE), np.arange(layers) >= step])
    basis = np.linalg.qr(kept, mode="complete")[0]
    alike, directions = _directions(basis[:, kept.shape[1] :])
    parts = signals @ directions
    size = np.linalg.norm(parts, axis=-1, keepdims=True)
    rho = _share(parts**2, alike)
    even = parts / _weights(_solve(np.ones_like(parts), alike, rho), alike)
    noise = _correlated(np.random.default_rng(seed).normal(size=(count, names, len(alike))), even)
    made = noise * _weights(_solve(noise**2, alike, rho), alike)
    length = np.linalg.norm(made, axis=-1, keepdims=True)
    made *= np.divide(size, length, out=np.zeros_like(length), where=length > 0)
    trend = signals - parts @ directions.T
    found: Floats = trend + made @ directions.T
    return found


def autocorrelation(rest: Floats) -> Floats:
    """Return the lag-1 autocorrelation of residuals (..., L), sum x_l x_l+1 / sum x_l^2; 0 of nothing."""
    own = (rest**2).sum(-1)
    found: Floats = np.divide((rest[..., 1:] * rest[..., :-1]).sum(-1), own, out=np.zeros_like(own), where=own > 0)
    return found


def _directions(outside: Floats) -> tuple[Floats, Floats]:
    """Return autocorrelations (K,), ascending, of orthonormal directions (L, K) in the space of `outside` (L, K)."""
    layers = len(outside)
    neighbours = (np.eye(layers, k=1) + np.eye(layers, k=-1)) / 2
    alike, turned = np.linalg.eigh(outside.T @ neighbours @ outside)
    return alike, outside @ turned


def _share(energy: Floats, alike: Floats) -> Floats:
    """Return the autocorrelation (...) of residuals with so much energy (..., K) in each direction."""
    total = energy.sum(-1)
    found: Floats = np.divide(energy @ alike, total, out=np.zeros_like(total), where=total > 0)
    return found


def _weights(place: Floats, alike: Floats) -> Floats:
    """Return the amplitude (..., K) of first-order autoregressive noise in each direction.

    Its energy is 1 / (1 + rho^2 - 2 rho a) in a direction of autocorrelation a, up to a factor; `place` runs from -inf,
    all noise in the first direction, to inf, all in the last.
    """
    middle, half = (alike[-1] + alike[0]) / 2, (alike[-1] - alike[0]) / 2 or 1.0  # 0 where one direction is left
    found: Floats = 1 / np.sqrt(1 - np.tanh(place)[..., None] * (alike - middle) / half)
    return found


def _solve(energy: Floats, alike: Floats, rho: Floats) -> Floats:
    """Return the place (...) at which noise of energy (..., K) has the autocorrelation rho (S,), by bisection.

    There is one for every rho between those of the first and the last direction, since the autocorrelation rises.
    """
    low, high = (np.full(energy.shape[:-1], end) for end in (-_EDGE, _EDGE))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        below = _share(energy * _weights(middle, alike) ** 2, alike) < rho
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found: Floats = (low + high) / 2
    return found


def _correlated(noise: Floats, observed: Floats) -> Floats:
    """Return noise (B, S, K) whose signals are correlated exactly as those of `observed` (S, K) (Langsrud 2005)."""
    length = np.linalg.norm(observed, axis=-1, keepdims=True)
    unit = np.divide(observed, length, out=np.zeros_like(observed), where=length > 0)
    made: Floats = _root(unit @ unit.T, 0.5) @ _root(noise @ noise.swapaxes(1, 2), -0.5) @ noise
    return made


def _root(products: Floats, power: float) -> Floats:
    """Return a power of symmetric matrices (..., S, S), directions without any size left out."""
    values, vectors = np.linalg.eigh(products)
    kept = values > _RANK * values[..., -1:]
    powers = np.where(kept, np.where(kept, values, 1.0) ** power, 0.0)
    found: Floats = (vectors * powers[..., None, :]) @ vectors.swapaxes(-1, -2)
    return found


def existence_of(signals: Floats, groups: Sequence[str], seed: int = 0, count: int = SURROGATES) -> Existence:
    """Return whether mean signals (S, L) have two boundaries, against surrogates and against shuffled layers."""
    left = float(two_cuts(signals, groups)[1])
    made = surrogates(signals, count, seed)
    null = two_cuts(made, groups)[1]
    plain, plain_null = (two_cuts(each, groups, np.inf)[1] for each in (signals, made))
    first, gain = _second(signals, groups)
    stepped = surrogates(signals, count, seed + 2, int(first))
    random = np.random.default_rng(seed + 1)
    orders = np.array([random.permutation(signals.shape[1]) for _ in range(count)])
    shuffled = two_cuts(signals[:, orders].transpose(1, 0, 2), groups)[1]
    return Existence(
        left,
        _p_value(null, left),
        _p_value(plain_null, float(plain)),
        _p_value(_second(stepped, groups)[1], float(gain)),
        int(first),
        null,
        cost_curve(fuse(signals, groups)),
        cost_curve(fuse(made, groups)),
        _p_value(shuffled, left),
    )


def _second(signals: Floats, groups: Sequence[str]) -> tuple[Any, Any]:
    """Return the best single cut (...) of signals (..., S, L), and C2 / C1, what a second one leaves of its cost."""
    costs, least = stretch_costs(fuse(signals, groups)), shortest(signals.shape[-1])
    (one, cost), (_, rest) = (best_cuts(costs, k, least) for k in (1, 2))
    return one[..., 0], np.divide(rest, cost, out=np.ones_like(rest), where=cost > 0)


def _p_value(null: Floats, left: float) -> float:
    return float((1 + (null <= left + 1e-12).sum()) / (1 + len(null)))
