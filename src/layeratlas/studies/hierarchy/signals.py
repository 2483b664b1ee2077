"""The signal-to-noise ratio of a task at every layer, on which depths are compared between levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Probed, ratio_of
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.stats.signal_to_noise import (
    ASSUMED,
    ASSUMED_ENDS,
    SIGNAL,
    assumed_noise,
    training_noise,
    untrained,
)


def with_signal(curve: Curve, probed: Probed, weights: Floats, resampler: Resampler, times: Floats | float) -> Curve:
    """Return the curve of a task with its signal, resampled with the same weights (1 + B + 2H, n).

    `times` is what training adds to the spread of the draws, as a factor.
    """
    z, nu = ratio_of(probed.scores, probed.design, weights)
    of_noise = z
    if nu is None and probed.twice is not None:
        of_noise, nu = ratio_of(probed.twice.scores, probed.twice.design, weights)
    if nu is None:
        noise = assumed_noise(z[0], ASSUMED)
        ends = np.stack([untrained(z[0], assumed_noise(z[0], share)) for share in ASSUMED_ENDS])
    else:
        noise = training_noise(of_noise, nu)
        ends = np.stack([untrained(z[0], noise[0])] * 2)
    estimate, draws, half_a, half_b = split_draws(untrained(z, noise), resampler)
    signal = replace(
        curve,
        metric=SIGNAL,
        estimate=estimate,
        draws=widened(estimate, draws, curve.n_groups, times=times),
        half_a=half_a,
        half_b=half_b,
        shuffles=np.zeros((0, len(estimate))),
        chance=0.0,
        baseline=float("nan"),
        baseline_draws=np.zeros(0),
        references={},
        ends=ends,
    )
    return replace(curve, signal=signal)
