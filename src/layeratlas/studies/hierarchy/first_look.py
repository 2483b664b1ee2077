"""The curve of a data set as one line of text, shown when its layers have been probed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes import Design
from layeratlas.report.text_map import cells
from layeratlas.stats.measures import chance, measures_for

_NAME, _COLUMNS = 24, 40


def first_look(design: Design, layers: Sequence[Floats]) -> str:
    """Return the name, the curve as shades from chance to 1, and the highest value with its layer.

    `layers` are the out-of-fold scores of the first probe by layer, (repeats, n, k). The line is an estimate without an
    interval; the findings follow at the end of the run.
    """
    name, measure = next(iter(measures_for(design.data.kind, design.classes).items()))
    everything = np.ones((1, len(design.y)))
    values = np.array([float(measure(scores, design.y, everything).mean()) for scores in layers])
    floor = chance(name, design.y)
    shares = np.clip((values - floor) / (1 - floor), 0, 1).tolist()
    best = int(values.argmax())
    shown = design.data.name if len(design.data.name) <= _NAME else f"{design.data.name[: _NAME - 1]}…"
    return f"{shown:>{_NAME}} {cells(shares, min(len(shares), _COLUMNS))} {values[best]:.2f} at layer {best}"
