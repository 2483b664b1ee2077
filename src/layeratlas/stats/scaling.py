"""How a value changes with a model's size: the change from the smallest to the largest, and its shape.

Both speak of the noise of the items alone: what distinguishes a model from the next beside its size, one model per size
cannot show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.draws import LevelDraws
from layeratlas.stats.intervals import ALPHA, Z95
from layeratlas.stats.quantities import Halved, peak_value, value_at
from layeratlas.stats.shapes import Shape, ShapeErrors, best_shape, held_out_errors, step_place
from layeratlas.stats.verdicts import Verdict, decide, least_seen

# A change with size within this much is called none, in units of the measure.
HARDLY = 0.05


@dataclass(frozen=True, kw_only=True)
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

    @property
    def covariance(self) -> Floats:
        """The bootstrap covariance of the values, (S, S)."""
        return np.atleast_2d(np.cov(self.noise.T))


class Where(StrEnum):
    """Where a curve is read for a comparison of sizes."""

    PEAK = "peak"
    LAST = "last"
    MIDDLE = "depth 0.50"


_DEPTHS = {Where.LAST: 1.0, Where.MIDDLE: 0.5}


def read_at(curve: LevelDraws, component: str, where: Where) -> Halved:
    """Return a curve's value at its peak or at a fixed depth, with that of both halves."""
    return peak_value(curve) if where is Where.PEAK else value_at(curve, component, _DEPTHS[where])


def by_size(curves: Sequence[LevelDraws], parameters: Sequence[float], component: str, where: Where) -> BySize | None:
    """Return the values of one level's curves, smallest model first; None where their draws do not match."""
    if len({curve.draws.shape[0] for curve in curves}) > 1 or len({len(curve.half_a) for curve in curves}) > 1:
        return None
    points = [read_at(curve, component, where) for curve in curves]
    return BySize(
        log_size=np.log10(parameters),
        values=np.array([point.value.estimate for point in points]),
        noise=np.stack([point.value.noise for point in points], 1),
        half_a=np.stack([point.half_a for point in points], 1),
        half_b=np.stack([point.half_b for point in points], 1),
    )


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What size does to a value.

    `rise` is the largest model's value less the smallest's, with its 95 % interval; `p` that of equal values at every
    size. `verdict` tells whether the value changes; `not supported` where the interval stays within HARDLY. `errors`
    are those of each shape on held-out items; `p_shape` how often data of the other shape speak as strongly for the
    chosen one (NaN where there is no change). `step` is the first size past the best step, `seen` the smallest rise
    that these data would show.
    """

    rise: float
    lo: float
    hi: float
    p: float
    verdict: Verdict
    shape: Shape
    errors: ShapeErrors
    p_shape: float
    step: int
    seen: float


def growth(data: BySize, seed: int = 0, p: float | None = None) -> Growth:
    """Return what size does to a value, for three sizes or more; `p` replaces the test's own, where corrected."""
    rise = float(data.values[-1] - data.values[0])
    spread = float((data.noise[:, -1] - data.noise[:, 0]).std())
    lo, hi = rise - Z95 * spread, rise + Z95 * spread
    p = equal_p(data) if p is None else p
    # A change may be in the middle, so that the test of all sizes decides; an equivalence is that of the ends.
    verdict = decide(shown=p <= ALPHA, refuted=max(-lo, hi) <= HARDLY)
    errors = held_out_errors(data.log_size, data.half_a[None], data.half_b[None])[0]
    shape: Shape = "flat" if verdict == "not supported" else "unsure"
    p_shape = float("nan")
    if verdict == "supported":
        shape, p_shape = best_shape(data.log_size, data.values, data.covariance, errors, len(data.half_a), seed)
    return Growth(
        rise=rise,
        lo=lo,
        hi=hi,
        p=p,
        verdict=verdict,
        shape=shape,
        errors=ShapeErrors(*errors.tolist()),
        p_shape=p_shape,
        step=step_place(data.values),
        seen=least_seen(spread),
    )


def equal_p(data: BySize) -> float:
    """Return the p-value of equal values at every size, by a Wald test with the bootstrap's covariance.

    Never below 1 / (B + 1), B draws.
    """
    contrast = np.diff(np.eye(len(data.values)), axis=0)
    gap = contrast @ data.values
    cov = contrast @ data.covariance @ contrast.T
    cov += np.eye(len(gap)) * max(1e-12, 1e-9 * float(np.trace(cov)))
    statistic = float(gap @ np.linalg.solve(cov, gap))
    return float(max(scipy.stats.chi2.sf(statistic, len(gap)), 1 / (1 + len(data.noise))))
