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
# Every row is decoded by two decoders. They share two of three fitting parts, so the variance that training adds to
# their mean is 1.25 times that of their difference: (1 + 1 + 1/4 + 1/4) parts against 1 + 1.
SHARED = 1.25


class Parts(NamedTuple):
    """Rows to fit the decoder on, and two parts, each decoded after calibration on the other one."""

    fitted: Ints
    first: Ints
    second: Ints


def parts(passages: Ints) -> Iterator[Parts]:
    """Yield five splits of rows by their passages (n,); each row is once in `first` and once in `second`."""
    part = passages % _PARTS
    for held in range(_PARTS):
        other = (held + 1) % _PARTS
        yield Parts(*(np.flatnonzero(rows) for rows in ((part != held) & (part != other), part == held, part == other)))


def log_likelihoods(x: Floats, codes: Ints, passages: Ints, classes: int) -> Floats:
    """Return log q of every row's true class for every target, (2, J, n) in nats, by decoders fitted on other passages.

    `x`: (n, d) float64; `codes`: (J, n) in 0 .. classes - 1; `passages`: (n,) numbers. The first axis are the two
    decoders of every row, which are fitted on different passages. Features are standardised on the fitting rows. All
    targets share one eigendecomposition per split.
    """
    found = np.zeros((2, *codes.shape))
    for split in parts(passages):
        first, second = _scores(x, codes, split, classes)
        own = [codes[:, rows] for rows in (split.first, split.second)]
        counts = (codes[:, split.fitted, None] == np.arange(classes)).sum(1) + 0.5
        prior = counts / counts.sum(1, keepdims=True)
        for decoder, logs, rows, true in (
            (0, calibrated(second, prior, own[1], first), split.first, own[0]),
            (1, calibrated(first, prior, own[0], second), split.second, own[1]),
        ):
            found[decoder][:, rows] = np.take_along_axis(logs, true[..., None], -1)[..., 0]
    return found


def _scores(x: Floats, codes: Ints, split: Parts, classes: int) -> tuple[Floats, Floats]:
    """Return the scores of the first part and of the second, (J, m, classes) each."""
    gram = split_gram(x, split.fitted, np.concatenate([split.first, split.second]))
    hot = (codes[:, split.fitted, None] == np.arange(classes)).astype(float)
    columns = hot.transpose(1, 0, 2).reshape(len(split.fitted), -1)
    flat = held_out_scores(registry.get("probes", "ridge"), gram, columns)
    scores = flat.reshape(len(flat), len(codes), classes).transpose(1, 0, 2)
    return scores[:, : len(split.first)], scores[:, len(split.first) :]
