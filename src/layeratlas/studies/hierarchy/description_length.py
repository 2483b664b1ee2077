"""Compression curves: how well a probe compresses the labels at each layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import CodeLengths, Design
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import TRAINING, widened
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.hierarchy.names import CODE_METRIC, CODE_PROBE, WHOLE

# The smallest divisor, in bits, of a compression.
_FEWEST_BITS = 1e-9


@dataclass(frozen=True, kw_only=True)
class Coded:
    """The code lengths of a data set at every layer of one component: bits (P, n) and shuffled (P, shuffles, n)."""

    design: Design
    component: str
    codes: CodeLengths


def compression_curve(coded: Coded, resampler: Resampler) -> Curve:
    """Return a task's compression by layer: uniform code length over the probe's code length (1: no information)."""
    codes, data, uniform = coded.codes, coded.design.data, np.log2(coded.design.classes)
    weights = resampler.weights([item.group for item in data.items])
    values: Floats = weights.sum(1)[:, None] * uniform / np.maximum(weights @ codes.bits.T, _FEWEST_BITS)
    b, h = resampler.bootstrap, resampler.halves
    n_groups = int(data.groups.max()) + 1
    return Curve(
        level=data.level,
        task=data.name,
        stratum=WHOLE,
        component=coded.component,
        method=CODE_PROBE,
        metric=CODE_METRIC,
        estimate=values[0],
        draws=widened(values[0], values[1 : 1 + b], n_groups, times=TRAINING),
        half_a=values[1 + b : 1 + b + h],
        half_b=values[1 + b + h :],
        shuffles=(uniform / codes.shuffled.mean(-1)).T,
        chance=1.0,
        baseline=float("nan"),
        n=len(data.items),
        n_groups=n_groups,
    )
