"""Description length: the bits that a probe needs to encode the labels, as a complement to accuracy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from layeratlas.core.arrays import Floats, Ints
from layeratlas.probes._dual import standardise
from layeratlas.probes._sweep import Design

# Fractions of the groups after which the probe is refitted (Voita and Titov use finer ones on far more data).
_BLOCKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
# Label shuffles of the control; each costs as much as the code itself.
CODE_SHUFFLES = 5
# The probability of a class absent from training, and the lower bound for every label's probability.
_UNSEEN, _SMALLEST = 1e-3, 1e-9


@dataclass(frozen=True, kw_only=True)
class CodeLengths:
    """Bits per item: `bits` (..., n) for the labels and `shuffled` (..., CODE_SHUFFLES, n) for shuffled labels."""

    bits: Floats
    shuffled: Floats


def code_lengths(x: Floats, y: Floats, groups: Ints, classes: int, seed: int) -> Floats:
    """Return the bits (n,) of each item's label when the labels are encoded block by block.

    This is the prequential code of Voita and Titov (2020). The first block is encoded with equal probabilities, each
    later block with those of a logistic regression fitted to all earlier blocks. A block consists of whole groups, in
    random order.
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


def _probabilities(x: Floats, y: Floats, new: Floats, labels: Floats, classes: int) -> Floats:
    """Return the probability (m,) that a logistic regression on x, y gives to the labels of new rows."""
    from sklearn.linear_model import LogisticRegression

    inside, mean, scale = standardise(x)
    # Strong shrinkage: with few rows and many dimensions, an unpenalised fit is overconfident, which costs bits.
    model = LogisticRegression(C=1 / x.shape[1], max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit that has not converged gives a valid, longer code
        model.fit(inside, y)
    probabilities = np.full((len(new), classes), _UNSEEN)
    probabilities[:, model.classes_.astype(int)] = model.predict_proba((new - mean) / scale)
    probabilities /= probabilities.sum(1, keepdims=True)
    sent: Floats = np.maximum(probabilities[np.arange(len(new)), labels.astype(int)], _SMALLEST)
    return sent


def layer_bits(x: Floats, design: Design, seed: int) -> CodeLengths:
    """Return one layer's code lengths, from its vectors x (n, d)."""
    groups, classes = design.data.groups, design.classes
    bits = code_lengths(x, design.y, groups, classes, seed)
    shuffled = [code_lengths(x, design.shuffled[i], groups, classes, seed) for i in range(CODE_SHUFFLES)]
    return CodeLengths(bits=bits, shuffled=np.stack(shuffled))
