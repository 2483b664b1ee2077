"""The gain of a peak over other layers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ROUNDING, Z95
from layeratlas.stats.peaks import cross_chosen
from layeratlas.stats.tests import normal_tail
from layeratlas.stats.verdicts import Effect


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A value that a peak must beat in addition to other layers, and its draws (B,), paired with the curve's."""

    estimate: float = 0.0
    draws: Floats = field(default_factory=lambda: np.zeros(1))


NO_FLOOR = Floor()


def peak_gain(curve: Curve, reference: Floats, floor: Floor = NO_FLOOR) -> Effect:
    """Return the peak minus the weighted sum of layers (weights `reference`, (P,)) and a floor.

    The peak is chosen on one half of the groups and evaluated on the other, so that the gain is not biased upward by
    selection. Its standard error is that of the bootstrap; p is two-sided, under a normal approximation.
    """
    gain = cross_chosen(curve, reference) - floor.estimate
    error = _standard_error(curve, curve.draws[:, curve.estimate.argmax()] - curve.draws @ reference - floor.draws)
    p = float(min(1.0, max(1 / len(curve.draws), 2 * normal_tail(abs(gain) / error))))
    return Effect(estimate=gain, lo=gain - Z95 * error, hi=gain + Z95 * error, p=p)


def _standard_error(curve: Curve, differences: Floats) -> float:
    """Return the standard error of a difference from the peak, from its draws (B,).

    If all draws agree (at the ceiling), the standard error of the peak's own interval is used.
    """
    error = float(differences.std())
    if error > ROUNDING:
        return error
    lo, hi = (ends[curve.estimate.argmax()] for ends in curve.interval)
    return max(float(hi - lo) / (2 * Z95), ROUNDING)
