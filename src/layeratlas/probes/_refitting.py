"""The factor that widens the draws of a task's scores for the variation from refitting the probe."""

from __future__ import annotations

from layeratlas.core.arrays import Floats
from layeratlas.probes._sweep import Design
from layeratlas.stats.intervals import TRAINING
from layeratlas.stats.refitting import training_factor


def training_of(scores: Floats, design: Design) -> Floats | float:
    """Return the factor (...) for scores (..., repeats, n, k); it is constant for probes that predict numbers."""
    if not design.classes:
        return TRAINING
    parts = sum(fold.repeat == 0 for fold in design.folds)
    tested = len(design.y) / (len(design.y) + design.others)
    return training_factor(scores, design.y, design.data.groups, parts, tested)
