"""The signal-to-noise ratio of a task's scores, and the share of their noise that comes from training."""

from __future__ import annotations

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.probes._dual import label_columns
from layeratlas.probes._sweep import Design
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.signal_to_noise import ratio, training_share

# How often the sizes of folds are compared between repeats.
_TURNS = 4


def ratio_of(scores: Floats, design: Design, weights: Floats) -> tuple[Floats, Floats | None]:
    """Return z and nu, (B, P) each, of scores (P, repeats, n, k) under weights (B, n); nu is None with one repeat.

    Of a sample of a large data set only the sampled texts differ between repeats, so nu is larger by the others.
    """
    targets = label_columns(design.y, design.classes)
    targets = targets - targets.mean(0)
    even = _even(scores, design, label_columns(design.y, design.classes).mean(0))
    z = ratio(even, targets, weights)
    if scores.shape[1] < 2:
        return z, None
    folds = sum(fold.repeat == 0 for fold in design.folds)
    untested = 1 + design.others / len(design.folds[0].train)
    return z, np.minimum(training_share(even, targets, weights, folds) * untested, 1.0)


def _even(scores: Floats, design: Design, mean: Floats) -> Floats:
    """Return scores less the targets' mean (k,), divided by their size in each fold.

    The penalty that a fold's probe chose sets the size of its scores, which has nothing to do with signal or noise. A
    size is first that of the fold's own texts, whose choice would count as a difference between repeats; then it is
    compared with that of the same texts in the other repeats.
    """
    even = scores - mean
    for turn in range(_TURNS):
        for fold in design.folds:
            squares = (even[:, :, fold.test] ** 2).mean((2, 3))
            own, others = squares[:, fold.repeat], np.delete(squares, fold.repeat, 1)
            size = np.sqrt(own) if not turn else np.sqrt(own / np.maximum(others.mean(1), ROUNDING))
            even[:, fold.repeat, fold.test] /= np.maximum(size, ROUNDING)[:, None, None]
        if scores.shape[1] < 2:
            break
    return even
