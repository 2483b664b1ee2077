"""A slope over models of several sizes, with an exact permutation test."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ROUNDING
from layeratlas.stats.tests import rank_p

_EXACT = 8
_SAMPLED = 9999


class Slope(NamedTuple):
    """A slope on log10 parameters, its two-sided permutation p-value, and the smallest p-value possible."""

    slope: float
    p: float
    smallest: float


def slope_test(values: Floats, log_size: Floats) -> Slope:
    """Return the slope of values on log10 parameters, tested over all permutations of the models.

    For more than eight models, 9,999 random permutations are used.
    """
    centred = log_size - log_size.mean()
    product = float(centred @ values)
    slope = product / float(centred @ centred)
    if len(values) <= _EXACT:
        orders = np.array(list(permutations(range(len(values)))))
        permuted = np.abs(values[orders] @ centred)
        return Slope(slope, float((~(permuted < abs(product) - ROUNDING)).mean()), 2 / len(orders))
    rng = np.random.default_rng(59)
    permuted = np.abs(np.stack([rng.permutation(values) for _ in range(_SAMPLED)]) @ centred)
    return Slope(slope, rank_p(abs(product), permuted), 1 / (1 + _SAMPLED))
