"""The factor that widens the draws of a task's scores for the variation from refitting the probe."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes._sweep import Design
from layeratlas.stats.intervals import TRAINING
from layeratlas.stats.refitting import training_factor


def training_of(scores: Floats, design: Design) -> Floats | float:
    """Return the factor (...) for scores (..., repeats, n, k); it is constant for probes that predict numbers."""
    if not design.classes:
        return TRAINING
    tested = len(design.y) / (len(design.y) + design.others)
    return training_factor(scores, design.y, design.data.groups, exchanged(design), tested)


def exchanged(design: Design) -> float:
    """Return the share of its training texts that a probe exchanges from one repeat to another; 0 with one repeat.

    With many groups it is 1 / folds, with few it is less, because a text's own group is never exchanged.
    """
    if design.repeats < 2:
        return 0.0
    n = len(design.y)
    fold = np.zeros((design.repeats, n), int)
    for i, each in enumerate(design.folds):
        fold[each.repeat, each.test] = i
    shares = []
    for one, other in combinations(fold, 2):
        size, together = np.bincount(one)[one] + np.bincount(other)[other], np.zeros((one.max() + 1, other.max() + 1))
        np.add.at(together, (one, other), 1)
        shares.append(((size / 2 - together[one, other]) / (n + design.others - size / 2)).mean())
    return float(np.mean(shares))
