"""Description length: how many bits a probe needs to send the labels, for those who distrust accuracies."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats
from layeratlas.probes._dual import standardise
from layeratlas.probes._sweep import Design

# Shares of the groups after which the probe is trained anew (Voita and Titov use finer ones on far more data).
_BLOCKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
SHUFFLES = 5


def code_lengths(x: Floats, y: Floats, groups: NDArray[np.int64], classes: int, seed: int) -> Floats:
    """Return the bits that each item's label takes when the labels are sent block by block, (n,).

    The prequential code of Voita and Titov (2020): the first block is sent with equal probabilities, each later one
    with those of a logistic regression trained on all before it. Blocks are made of whole groups, in random order.
    A class that training has not seen has the probability of one in a thousand.
    """
    order = np.random.default_rng([seed, 23]).permutation(int(groups.max()) + 1)
    place = np.argsort(order)[groups]
    ends = [max(1, round(share * len(order))) for share in _BLOCKS]
    bits = np.full(len(y), np.log2(classes))
    for start, end in pairwise(ends):
        train, test = place < start, (place >= start) & (place < end)
        if test.any() and len(np.unique(y[train])) > 1:
            bits[test] = -np.log2(_probabilities(x[train], y[train], x[test], y[test], classes))
    return bits


def _probabilities(x: Floats, y: Floats, new: Floats, truth: Floats, classes: int) -> Floats:
    from sklearn.linear_model import LogisticRegression

    inside, mean, scale = standardise(x)
    # Strong shrinkage: of few rows in many dimensions an unpenalised fit is sure of itself, and sureness costs bits.
    model = LogisticRegression(C=1 / x.shape[1], max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unconverged is no worse a code, only a longer one
        model.fit(inside, y)
    found = np.full((len(new), classes), 1e-3)
    found[:, model.classes_.astype(int)] = model.predict_proba((new - mean) / scale)
    found /= found.sum(1, keepdims=True)
    chosen: Floats = np.maximum(found[np.arange(len(new)), truth.astype(int)], 1e-9)
    return chosen


def layer_bits(x: Floats, design: Design, seed: int) -> tuple[Floats, Floats]:
    """Return one layer's bits per item (n,), and those of a few label shuffles, (SHUFFLES, n)."""
    groups, k = design.data.groups, design.classes
    real = code_lengths(x, design.y, groups, k, seed)
    fake = [code_lengths(x, design.shuffled[i], groups, k, seed) for i in range(SHUFFLES)]
    return real, np.stack(fake)
