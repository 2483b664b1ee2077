"""Decodes tokens near a position from the stream at one point: calibrated ridge on classes, on held-out passages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from layeratlas.core import registry
from layeratlas.core.arrays import Floats, Ints
from layeratlas.probes import held_out_scores, split_gram
from layeratlas.stats.information import calibrated

_PARTS = 5


class Parts(NamedTuple):
    """Rows to fit the decoder on, to calibrate it on, and to decode."""

    fitted: Ints
    calibrated: Ints
    decoded: Ints


def parts(passages: Ints) -> Iterator[Parts]:
    """Yield five splits of rows by their passages (n,); each row is decoded once."""
    part = passages % _PARTS
    for held in range(_PARTS):
        other = (held + 1) % _PARTS
        yield Parts(*(np.flatnonzero(rows) for rows in ((part != held) & (part != other), part == other, part == held)))


def log_likelihoods(x: Floats, codes: Ints, passages: Ints, classes: int) -> Floats:
    """Return log q of every row's true class for every target, (J, n) in nats, by decoders fitted on other passages.

    `x`: (n, d) float64; `codes`: (J, n) in 0 .. classes - 1; `passages`: (n,) numbers. Features are standardised on the
    fitting rows. All targets share one eigendecomposition per split.
    """
    found = np.zeros(codes.shape)
    for split in parts(passages):
        scores = _scores(x, codes, split, classes)
        for target, own in enumerate(codes):
            counts = np.bincount(own[split.fitted], minlength=classes) + 0.5
            values = scores[:, target * classes : (target + 1) * classes]
            middle = len(split.calibrated)
            logs = calibrated(values[:middle], counts / counts.sum(), own[split.calibrated], values[middle:])
            found[target, split.decoded] = logs[np.arange(len(split.decoded)), own[split.decoded]]
    return found


def _scores(x: Floats, codes: Ints, split: Parts, classes: int) -> Floats:
    """Return the scores of the calibration rows followed by the rows to decode, (m, J * classes)."""
    gram = split_gram(x, split.fitted, np.concatenate([split.calibrated, split.decoded]))
    hot = (codes[:, split.fitted, None] == np.arange(classes)).astype(float)
    columns = hot.transpose(1, 0, 2).reshape(len(split.fitted), -1)
    scores: Floats = held_out_scores(registry.get("probes", "ridge"), gram, columns)
    return scores
