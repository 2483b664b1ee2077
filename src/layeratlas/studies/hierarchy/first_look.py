"""The curve of a data set as one line of text, shown when its layers have been probed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Design
from layeratlas.report.text_map import curve_line
from layeratlas.stats.measures import chance, measures_for


def first_look(design: Design, layers: Sequence[Floats]) -> str:
    """Return the curve of a data set as one line, from chance to 1.

    `layers` are the out-of-fold scores of the first probe by layer, (repeats, n, k).
    """
    name, measure = next(iter(measures_for(design.data.kind, design.classes).items()))
    everything = np.ones((1, len(design.y)))
    values = [float(measure(scores, design.y, everything).mean()) for scores in layers]
    return curve_line(design.data.name, values, chance(name, design.y))
