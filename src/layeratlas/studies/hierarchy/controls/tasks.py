"""Control tasks and selectivity: the accuracy that random labels per word reach with the same probe and folds."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Probed
from layeratlas.stats.curves import Curve, Reference
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import measures_for


def control_task_reference(probed: Probed, metric: str, curve: Curve, weights: Floats) -> Reference:
    """Return the mean over control tasks of a measure, and the selectivity: how far the curve is above it.

    weights: (1 + B, n), the whole sample and the draws of the curve. Draws resample groups, those of the curve, and
    control tasks, so that the interval holds for other random labels too.
    """
    design = probed.design
    measure = measures_for(design.data.kind, design.classes)[metric]
    values = measure(probed.control_tasks, design.control_tasks, weights)  # (1 + B, P, tasks)
    values = np.where(np.isfinite(values), values, values[:1])
    tasks, n_groups = values.shape[-1], curve.n_groups
    drawn = np.random.default_rng([tasks, 31]).multinomial(tasks, np.full(tasks, 1 / tasks), size=len(values) - 1)
    estimate = values[0].mean(-1)
    draws = np.einsum("bpt,bt->bp", values[1:], drawn / tasks)
    control = widened(estimate, draws, n_groups, most=1.0)
    gain = curve.estimate - estimate
    return Reference(
        estimate=estimate,
        draws=control,
        gain=gain,
        gain_draws=curve.draws - control,
        n=curve.n,
        n_groups=n_groups,
    )
