"""Extrapolate an iteration from its last states, so that it needs fewer steps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from array_api_compat import array_namespace

from layeratlas.core.arrays import Array, Ints

# How many of the last states are combined from: one more than steps between them.
STATES = 6
# What is added to the matrix of products of steps, as a fraction of its trace: less makes rounding errors grow.
_RIDGE, _TINY = 1e-4, 1e-30
# How long steps may be, beside those at the last extrapolation of their column.
_SHORTER = 0.9


class Extrapolation:
    """Anderson acceleration of a fixed-point iteration on columns (..., n, k), each by itself.

    The next state is the combination of the last ones whose steps have the least norm together, with weights that sum
    to 1 (Anderson 1965; with Douglas-Rachford splitting: Fu, Zhang and Boyd 2020). A column is extrapolated only if its
    steps are shorter than when it last was. So either they shrink to nothing, or the column ends with plain steps,
    which converge by themselves.
    """

    def __init__(self) -> None:
        self._states: list[Array] = []
        self._limit: Any = None

    def add(self, state: Array) -> None:
        """Note the state (..., n, k) after a step; `next` needs the last STATES of them, one after the other."""
        self._states.append(state)

    def restart(self) -> None:
        """Forget all states, after the iteration has changed."""
        self._states, self._limit = [], None

    def next(self, kept: Ints) -> Array:
        """Return the states (..., n, k) to go on from, of the columns `kept`; the others are forgotten."""
        xp = array_namespace(self._states[-1])
        states = self._states[-STATES:]
        if len(kept) < states[-1].shape[-1]:
            at = xp.asarray(kept, device=states[-1].device)
            states = [xp.take(state, at, axis=-1) for state in states]
        steps = [after - before for before, after in pairwise(states)]
        by_column = xp.stack([step.mT for step in steps], axis=-2)  # (..., k, steps, n)
        products = xp.astype(by_column @ by_column.mT, xp.float64)
        length = products[..., -1, -1] ** 0.5
        limit = length + 1 if self._limit is None else self._limit[..., kept]
        short = length < limit
        self._states, self._limit = [], xp.where(short, _SHORTER * length, limit)
        weights = xp.astype(_weights(products), states[0].dtype)
        mixed = weights[..., None, :, 0] * states[1]
        for i, state in enumerate(states[2:], 1):
            mixed += weights[..., None, :, i] * state
        return xp.where(short[..., None, :], mixed, states[-1])


def _weights(products: Array) -> Array:
    """Return the weights (..., m) with sum 1 and the least w' P w, of products (..., m, m) of steps."""
    xp, m = array_namespace(products), products.shape[-1]
    one = xp.eye(m, dtype=products.dtype, device=products.device)
    more = _RIDGE * xp.linalg.trace(products)[..., None, None] + _TINY
    solved = xp.linalg.solve(products + more * one, xp.ones_like(products[..., :1]))[..., 0]
    return solved / xp.sum(solved, axis=-1)[..., None]
