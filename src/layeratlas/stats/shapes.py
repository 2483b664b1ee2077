"""The shape of a change with size: flat, a line in log parameters, or a threshold.

The shape is chosen on held-out items: each shape is fitted to the values on one half of the groups and evaluated on the
other. Data simulated under the other shape show how reliable the choice is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA

Shape = Literal["flat", "linear", "threshold", "unsure"]
_SIMULATED = 400


class ShapeErrors(NamedTuple):
    """Mean squared errors on held-out items, by shape."""

    flat: float
    linear: float
    threshold: float


class ShapedValues(NamedTuple):
    """Values (S,) by size, the covariance (S, S) of the items' noise, and the variance that models add to each."""

    log_size: Floats
    values: Floats
    covariance: Floats
    of_models: float


def held_out_errors(log_size: Floats, half_a: Floats, half_b: Floats) -> Floats:
    """Return mean squared errors (N, 3), in the order of ShapeErrors, on the held-out half.

    Halves are (N, H, S): N data sets, H splits, S sizes.
    """
    total = np.zeros((len(half_a), 3))
    for fitted, read in ((half_a, half_b), (half_b, half_a)):
        flat = np.broadcast_to(fitted.mean(-1, keepdims=True), fitted.shape)
        line = fitted @ line_projection(log_size).T
        guesses = (flat, line, _best_step(fitted))
        total += np.stack([((read - guess) ** 2).mean((-1, -2)) for guess in guesses], -1)
    return total / 2


def best_shape(data: ShapedValues, errors: Floats, halves: int, seed: int) -> tuple[Shape, float]:
    """Return the shape with the smaller held-out error, line or threshold, and its p-value.

    p is how often data simulated under the other shape, with this covariance and number of halves, favour the chosen
    shape as strongly; above 0.05 the shape is `unsure`. The random effects of models are equal in both halves.
    """
    log_size, values, covariance = data.log_size, data.values, data.covariance
    lead = _lead(errors)
    threshold = lead > 0
    other = line_projection(log_size) if threshold else step_projection(len(values), step_place(values))
    rng = np.random.default_rng([seed, 41])
    zero = np.zeros(len(values))
    around = covariance + data.of_models * np.eye(len(values))
    simulated = rng.multivariate_normal(other @ values, around, _SIMULATED, method="svd")[:, None]
    error = rng.multivariate_normal(zero, covariance, (_SIMULATED, halves), method="svd")
    leads = _lead(held_out_errors(log_size, simulated + error, simulated - error))
    as_strong = leads >= lead if threshold else leads <= lead
    p = (1 + float(as_strong.sum())) / (1 + _SIMULATED)
    shape: Shape = "threshold" if threshold else "linear"
    return (shape if p <= ALPHA else "unsure"), p


def _lead(errors: Floats) -> Floats:
    """Return how much smaller the error of a threshold is than that of a line."""
    by_shape = ShapeErrors(*np.moveaxis(errors, -1, 0))
    lead: Floats = np.asarray(by_shape.linear - by_shape.threshold)
    return lead


def step_place(values: Floats) -> int:
    """Return the index of the first size past the best step of values (S,)."""
    errors = [((step_projection(len(values), at) @ values - values) ** 2).sum() for at in range(1, len(values))]
    return 1 + int(np.argmin(errors))


def line_projection(log_size: Floats) -> Floats:
    """Return the projection (S, S) on a line in log parameters."""
    basis = np.linalg.qr(np.stack([np.ones_like(log_size), log_size], 1))[0]
    projection: Floats = basis @ basis.T
    return projection


def step_projection(sizes: int, at: int) -> Floats:
    """Return the projection (S, S) on step functions with a step at index `at`."""
    below = np.arange(sizes) < at
    same = below[:, None] == below[None]
    projection: Floats = same / same.sum(1, keepdims=True)
    return projection


def _best_step(values: Floats) -> Floats:
    """Return the best step for each row of (..., S)."""
    sizes = values.shape[-1]
    fits = np.stack([values @ step_projection(sizes, at).T for at in range(1, sizes)], -2)
    errors = ((fits - values[..., None, :]) ** 2).sum(-1)
    best: Floats = np.take_along_axis(fits, errors.argmin(-1)[..., None, None], -2)[..., 0, :]
    return best
