"""The factor by which the draws of a task's scores are widened for training the probe anew."""

from __future__ import annotations

from layeratlas.core.arrays import Floats
from layeratlas.probes import Design
from layeratlas.stats.intervals import TRAINING
from layeratlas.stats.refitting import training_factor


def training_of(scores: Floats, design: Design) -> Floats | float:
    """Return the factor (...) of scores (..., repeats, n, k); that of probes which predict numbers is a constant."""
    if not design.classes:
        return TRAINING
    parts = sum(fold.repeat == 0 for fold in design.folds)
    return training_factor(scores, design.y, design.data.groups, parts)
