"""The value of a layer that was chosen among many, read on groups that the choice has not seen.

The score of a layer on the groups that chose it is too high: it was chosen because it is high. One rule holds for every
purpose and study. The purpose's own rule chooses a layer on one half of the groups, with the thresholds of all groups,
and the score of that layer is read on the other half; the value shown is the mean over random halves (`cross_read`).
Its interval is that of the layer that all groups choose, moved to the value. In simulations with equal layers these
intervals hold the truth in 94 to 97 % where the layers' errors correlate by 0.7 or more, in 97 % where neighbours
correlate by 0.75 and others by 0.3, and in up to 99 % where errors are independent: layers read the same texts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.curves import Curve
from layeratlas.stats.peaks import Judge, cross_read
from layeratlas.stats.resampling import Sample


def value_of_choice(
    sample: Sample, at: int, judge: Judge, chosen_on: tuple[Floats, Floats] | None = None
) -> tuple[float, Floats]:
    """Return the value of a choice among the columns of a sample, and draws (B,) around it.

    `judge` chooses a column of values (..., P): the one with the highest `judge(values)`. `at` is the column that it
    chooses on all groups, whose draws are moved to the value. `chosen_on` are the values on the halves that it judges,
    by default those of the sample.
    """
    value = cross_read(sample.half_a, sample.half_b, judge, chosen_on)
    return value, sample.draws[:, at] - sample.estimate[at] + value


def value_on_curve(
    curve: Curve, at: int, judge: Judge, chosen_on: tuple[Floats, Floats] | None = None
) -> tuple[float, float, float]:
    """Return the value of a choice among the layers of a curve, and its 95 % interval in the curve's measure."""
    sample = Sample(curve.estimate, curve.draws, curve.half_a, curve.half_b)
    value, draws = value_of_choice(sample, at, judge, chosen_on)
    # Further columns, such as a control beside the layers, are never chosen and have no factor.
    times = curve.times if np.ndim(curve.times) == 0 else np.asarray(curve.times)[[at]]
    lo, hi = replace(curve, estimate=np.array([value]), draws=draws[:, None], times=times, read=()).interval
    return value, float(lo[0]), float(hi[0])
