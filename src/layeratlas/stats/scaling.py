"""How a value changes with a model's size: the change from the smallest to the largest, and its shape.

With one model per size, differences between models other than their size are part of the uncertainty, as a random
effect of the model (`stats.models_effect`). Models of equal size are averaged and count as one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.models_effect import ModelEffect, SizedValues, freedom_of, model_effect, t_critical
from layeratlas.stats.quantities import Halved, peak_value, value_at
from layeratlas.stats.shapes import Shape, ShapedValues, ShapeErrors, best_shape, held_out_errors, step_place
from layeratlas.stats.verdicts import Verdict, decide, least_seen

# Equivalence margin for a change with size, in units of the measure.
HARDLY = 0.05


@dataclass(frozen=True, kw_only=True)
class BySize:
    """Values at S sizes in ascending order, with their bootstrap.

    `values` (S,); `noise` (B, S) errors of the draws; `half_a`, `half_b` (H, S) on disjoint halves of the groups;
    `log_size` (S,) log10 of the parameters.
    """

    log_size: Floats
    values: Floats
    noise: Floats
    half_a: Floats
    half_b: Floats

    @property
    def covariance(self) -> Floats:
        """The bootstrap covariance of the values, (S, S)."""
        return np.atleast_2d(np.cov(self.noise.T))

    @property
    def sized(self) -> SizedValues:
        """The values as input for the random effect of the model."""
        return SizedValues(self.log_size, self.values, self.covariance)


class Where(StrEnum):
    """Where a curve is read for a comparison of sizes."""

    PEAK = "peak"
    LAST = "last"
    MIDDLE = "depth 0.50"


_DEPTHS = {Where.LAST: 1.0, Where.MIDDLE: 0.5}


def read_at(curve: LevelDraws, component: str, where: Where) -> Halved:
    """Return a curve's value at its peak or at a fixed depth, and the values on both halves."""
    return peak_value(curve) if where is Where.PEAK else value_at(curve, component, _DEPTHS[where])


def by_size(curves: Sequence[LevelDraws], parameters: Sequence[float], component: str, where: Where) -> BySize | None:
    """Return the values of one level's curves by size, smallest first; None if their draws do not match.

    Models with the same number of parameters are averaged.
    """
    if len({curve.draws.shape[0] for curve in curves}) > 1 or len({len(curve.half_a) for curve in curves}) > 1:
        return None
    points = [read_at(curve, component, where) for curve in curves]
    sizes, member = np.unique(np.asarray(parameters, np.float64), return_inverse=True)
    mean = (member[None] == np.arange(len(sizes))[:, None]) / np.bincount(member)[:, None]
    return BySize(
        log_size=np.log10(sizes),
        values=mean @ np.array([point.value.estimate for point in points]),
        noise=np.stack([point.value.noise for point in points], 1) @ mean.T,
        half_a=np.stack([point.half_a for point in points], 1) @ mean.T,
        half_b=np.stack([point.half_b for point in points], 1) @ mean.T,
    )


@dataclass(frozen=True, kw_only=True)
class Growth:
    """The effect of model size on a value, over `sizes` different sizes.

    `rise` is the largest size's value minus the smallest's, with its 95 % interval. `p` tests equal values at every
    size. Both include the noise of the items and `of_models`, the standard deviation of the random effect of the model.
    `verdict` says whether the value changes; it is `not supported` if the interval is within HARDLY. `errors` are the
    held-out errors of each shape. `p_shape` is how often data of the other shape favour the chosen one as strongly (NaN
    without a change). `step` is the index of the first size past the best step. `seen` is the smallest rise that these
    data would detect.
    """

    sizes: int
    rise: float
    lo: float
    hi: float
    p: float
    verdict: Verdict
    of_models: float
    shape: Shape
    errors: ShapeErrors
    p_shape: float
    step: int
    seen: float


def growth(data: BySize, seed: int = 0, *, p: float | None = None, effect: ModelEffect | None = None) -> Growth:
    """Return the effect of size on a value, for three sizes or more.

    `p` replaces the p-value of the test, if it was corrected. `effect` is the random effect of the model from all
    available families; by default it is estimated from this family alone.
    """
    effect = effect or model_effect([data.sized])
    rise = float(data.values[-1] - data.values[0])
    noise, models = float((data.noise[:, -1] - data.noise[:, 0]).var()), 2 * effect.variance
    spread, share = float(np.sqrt(noise + models)), models / (noise + models)
    reach = t_critical(effect, share) * spread
    lo, hi = rise - reach, rise + reach
    p = equal_p(data, effect) if p is None else p
    # A change may be in the middle, so the test over all sizes decides; the equivalence compares only the two ends.
    verdict = decide(shown=p <= ALPHA, refuted=max(-lo, hi) <= HARDLY)
    errors = held_out_errors(data.log_size, data.half_a[None], data.half_b[None])[0]
    shape: Shape = "flat" if verdict == "not supported" else "unsure"
    p_shape = float("nan")
    if verdict == "supported":
        shaped = ShapedValues(data.log_size, data.values, data.covariance, effect.variance)
        shape, p_shape = best_shape(shaped, errors, len(data.half_a), seed)
    return Growth(
        sizes=len(data.values),
        rise=rise,
        lo=lo,
        hi=hi,
        p=p,
        verdict=verdict,
        of_models=float(np.sqrt(effect.variance)),
        shape=shape,
        errors=ShapeErrors(*errors.tolist()),
        p_shape=p_shape,
        step=step_place(data.values),
        seen=least_seen(spread, freedom=freedom_of(effect, share)),
    )


def equal_p(data: BySize, effect: ModelEffect | None = None) -> float:
    """Return the p-value of equal values at every size, by a Wald test with the bootstrap's covariance.

    The variance of the random effect (`effect`, by default from this family) is added to the covariance, and the
    statistic is compared with an F distribution with the degrees of freedom of that variance. Never below 1 / (B + 1),
    for B draws.
    """
    effect = effect or model_effect([data.sized])
    contrast = np.diff(np.eye(len(data.values)), axis=0)
    gap = contrast @ data.values
    cov = contrast @ (data.covariance + effect.variance * np.eye(len(data.values))) @ contrast.T
    cov += np.eye(len(gap)) * max(1e-12, 1e-9 * float(np.trace(cov)))
    statistic = float(gap @ np.linalg.solve(cov, gap)) / len(gap)
    share = effect.variance / (effect.variance + float(np.diag(data.covariance).mean()))
    tail = scipy.stats.f.sf(statistic, len(gap), freedom_of(effect, share))
    return float(max(tail, 1 / (1 + len(data.noise))))
