"""The compression of labels by a probe, as a curve."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Design
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import widened
from layeratlas.stats.resampling import Resampler


def compression_curve(design: Design, component: str, bits: Floats, fake: Floats, resampler: Resampler) -> Curve:
    """Return a task's compression by layer: bits at equal probabilities over bits needed, 1 for a useless code.

    bits (P, n); fake (P, SHUFFLES, n).
    """
    data, whole = design.data, np.log2(design.classes)
    weights = resampler.weights([item.group for item in data.items])
    values = weights.sum(1)[:, None] * whole / np.maximum(weights @ bits.T, 1e-9)
    b, h = resampler.bootstrap, resampler.halves
    shuffled = whole / fake.mean(-1)
    n_groups = int(data.groups.max()) + 1
    return Curve(
        data.level, data.name, "all", component, "logistic", "compression", values[0],
        widened(values[0], values[1 : 1 + b], n_groups),
        values[1 + b : 1 + b + h], values[1 + b + h :], shuffled.T, 1.0, float("nan"), len(data.items), n_groups,
    )  # fmt: skip
