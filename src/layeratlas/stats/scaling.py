"""How a value changes with a model's size: flat, linear in log parameters, or a threshold.

The shape is chosen by held-out items: fitted to the values on one half of the groups and read on the other. How far
that choice can be trusted is told by data simulated under the other shape. Both speak of the items' noise alone: what
sets one model apart from the next beside its size, no run of one model a size can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.contrasts import sized
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.verdicts import Verdict

Shape = Literal["flat", "linear", "threshold", "unsure"]
_SIMULATED = 400
# A change with size within this much is called none, in units of the measure.
HARDLY = 0.05
_Z95 = 1.959964


@dataclass(frozen=True)
class BySize:
    """S values of models in order of size, with their bootstrap.

    `values` (S,); `noise` (B, S) errors of the draws; `half_a`, `half_b` (H, S) on disjoint halves of the groups;
    `log_size` (S,) log10 of the parameters.
    """

    log_size: Floats
    values: Floats
    noise: Floats
    half_a: Floats
    half_b: Floats


def by_size(curves: Sequence[LevelDraws], parameters: Sequence[float], component: str, where: str) -> BySize | None:
    """Return the values of one level's curves, smallest model first; None where their draws do not match."""
    if len({curve.draws.shape[0] for curve in curves}) > 1 or len({len(curve.half_a) for curve in curves}) > 1:
        return None
    found = [sized(curve, component, where) for curve in curves]
    return BySize(
        np.log10(parameters),
        np.array([value.estimate for value, _, _ in found]),
        np.stack([value.noise for value, _, _ in found], 1),
        np.stack([a for _, a, _ in found], 1),
        np.stack([b for _, _, b in found], 1),
    )


@dataclass(frozen=True)
class Growth:
    """What size does to a value.

    `rise` is the largest model's value less the smallest's, with its 95 % interval; `p` that of equal values at every
    size (Wald, bootstrap covariance). `verdict` tells whether the value changes; `not supported` where the rise's
    interval stays within 0.05. `errors`: mean squared error on held-out items of flat, linear and threshold; `p_shape`
    how often data of the other shape speak as strongly for the chosen one. `at` is the first size past the step.
    """

    rise: float
    lo: float
    hi: float
    p: float
    verdict: Verdict
    shape: Shape
    errors: tuple[float, float, float]
    p_shape: float
    at: int


def growth(data: BySize, seed: int = 0, p: float | None = None) -> Growth:
    """Return what size does to a value, for three sizes or more; `p` replaces the test's own, where corrected."""
    rise = float(data.values[-1] - data.values[0])
    spread = float((data.noise[:, -1] - data.noise[:, 0]).std())
    lo, hi = rise - _Z95 * spread, rise + _Z95 * spread
    p = equal_p(data) if p is None else p
    changes = p <= 0.05
    verdict: Verdict = "supported" if changes else "not supported" if max(-lo, hi) <= HARDLY else "inconclusive"
    errors = _held_out(data.log_size, data.half_a[None], data.half_b[None])[0]
    at = _step_of(data.values)
    if not changes:
        flat: Shape = "flat" if verdict == "not supported" else "unsure"
        return Growth(rise, lo, hi, p, verdict, flat, _triple(errors), float("nan"), at)
    shape, p_shape = _shape(data, errors, at, seed)
    return Growth(rise, lo, hi, p, verdict, shape, _triple(errors), p_shape, at)


def _triple(errors: Floats) -> tuple[float, float, float]:
    return float(errors[0]), float(errors[1]), float(errors[2])


def equal_p(data: BySize) -> float:
    """Return the p-value of equal values at every size, by a Wald test with the bootstrap's covariance."""
    contrast = np.diff(np.eye(len(data.values)), axis=0)
    gap = contrast @ data.values
    cov = contrast @ np.atleast_2d(np.cov(data.noise.T)) @ contrast.T
    cov += np.eye(len(gap)) * max(1e-12, 1e-9 * float(np.trace(cov)))
    statistic = float(gap @ np.linalg.solve(cov, gap))
    return float(max(scipy.stats.chi2.sf(statistic, len(gap)), 1 / (1 + len(data.noise))))


def _shape(data: BySize, errors: Floats, at: int, seed: int) -> tuple[Shape, float]:
    """Return the shape with the smaller held-out error, and how often the other shape's data favour it as much."""
    lead = float(errors[1] - errors[2])
    chosen: Shape = "threshold" if lead > 0 else "linear"
    line = _line(data.log_size)
    truth = line @ data.values if chosen == "threshold" else _step(len(data.values), at) @ data.values
    rng = np.random.default_rng([seed, 41])
    cov = np.atleast_2d(np.cov(data.noise.T))
    none = np.zeros(len(truth))
    value = rng.multivariate_normal(truth, cov, _SIMULATED, method="svd")
    halves = len(data.half_a)
    error = rng.multivariate_normal(none, cov, (_SIMULATED, halves), method="svd")
    made = _held_out(data.log_size, value[:, None] + error, value[:, None] - error)
    leads = made[:, 1] - made[:, 2]
    as_strong = leads >= lead if chosen == "threshold" else leads <= lead
    p = (1 + float(as_strong.sum())) / (1 + _SIMULATED)
    return (chosen if p <= 0.05 else "unsure"), p


def _held_out(log_size: Floats, half_a: Floats, half_b: Floats) -> Floats:
    """Return mean squared errors (N, 3) of flat, linear and threshold on the half that they were not fitted to.

    Halves are (N, H, S).
    """
    total = np.zeros((len(half_a), 3))
    for fit, read in ((half_a, half_b), (half_b, half_a)):
        flat = np.broadcast_to(fit.mean(-1, keepdims=True), fit.shape)
        line = fit @ _line(log_size).T
        guesses = (flat, line, _best_step(fit))
        total += np.stack([((read - guess) ** 2).mean((-1, -2)) for guess in guesses], -1)
    return total / 2


def _line(log_size: Floats) -> Floats:
    """Return the projection (S, S) on a line in log parameters."""
    basis = np.linalg.qr(np.stack([np.ones_like(log_size), log_size], 1))[0]
    projection: Floats = basis @ basis.T
    return projection


def _step(sizes: int, at: int) -> Floats:
    """Return the projection (S, S) on one value before size `at` and one from it on."""
    below = np.arange(sizes) < at
    same = below[:, None] == below[None]
    projection: Floats = same / same.sum(1, keepdims=True)
    return projection


def _best_step(values: Floats) -> Floats:
    """Return the best step for each row of (..., S)."""
    sizes = values.shape[-1]
    fits = np.stack([values @ _step(sizes, at).T for at in range(1, sizes)], -2)
    errors = ((fits - values[..., None, :]) ** 2).sum(-1)
    best: Floats = np.take_along_axis(fits, errors.argmin(-1)[..., None, None], -2)[..., 0, :]
    return best


def _step_of(values: Floats) -> int:
    errors = [((_step(len(values), at) @ values - values) ** 2).sum() for at in range(1, len(values))]
    return 1 + int(np.argmin(errors))


def slope_p(values: Floats, log_size: Floats) -> tuple[float, float, float]:
    """Return the slope of values on log10 parameters, its exact permutation p (two-sided), and the smallest p possible.

    Over all orders of the models; more than eight are permuted 9,999 times.
    """
    centred = log_size - log_size.mean()
    slope = float(centred @ values / (centred @ centred))
    n = len(values)
    if n <= 8:
        orders = np.array(list(permutations(range(n))))
        made = np.abs(values[orders] @ centred)
        p = float((made >= abs(values @ centred) - 1e-12).mean())
        return slope, p, 2 / len(orders)
    rng = np.random.default_rng(59)
    made = np.abs(np.stack([rng.permutation(values) for _ in range(9999)]) @ centred)
    return slope, (1 + float((made >= abs(values @ centred)).sum())) / 10000, 1e-4
