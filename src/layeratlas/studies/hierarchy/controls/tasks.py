"""Control tasks (random labels per word, with the same probe and folds) and selectivity."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Probed, training_of
from layeratlas.stats.curves import Curve, Reference
from layeratlas.stats.intervals import widened
from layeratlas.stats.measures import measures_for


def control_task_reference(probed: Probed, metric: str, curve: Curve, weights: Floats) -> Reference:
    """Return a measure's mean over control tasks, and the selectivity: the curve minus this mean.

    `weights` (1 + B, n) are the whole sample and the draws of the curve. Draws resample the groups (as in the curve)
    and the control tasks, so the interval also covers other random labels.
    """
    design = probed.design
    measure = measures_for(design.data.kind, design.classes)[metric]
    values = measure(probed.control_tasks, design.control_tasks, weights)  # (1 + B, P, tasks)
    values = np.where(np.isfinite(values), values, values[:1])
    tasks, n_groups = values.shape[-1], curve.n_groups
    drawn = np.random.default_rng([tasks, 31]).multinomial(tasks, np.full(tasks, 1 / tasks), size=len(values) - 1)
    estimate = values[0].mean(-1)
    draws = np.einsum("bpt,bt->bp", values[1:], drawn / tasks)
    # The same probe on the same texts; random labels have one repeat, which shows nothing of its training.
    control = widened(estimate, draws, n_groups, times=training_of(probed.scores, design), most=1.0)
    gain = curve.estimate - estimate
    return Reference(
        estimate=estimate,
        draws=control,
        gain=gain,
        gain_draws=curve.draws - control,
        n=curve.n,
        n_groups=n_groups,
    )
