"""Jackknife intervals, for statistics of a set that a bootstrap would bias: a passage drawn twice adds nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray

from layeratlas.core.arrays import Floats


def jackknife(measure: Callable[[NDArray[np.int64]], Floats], n: int, parts: int = 10) -> tuple[Floats, Floats, Floats]:
    """Return a statistic of rows 0..n-1 and its 95 % interval, leaving out one of `parts` subsets of rows at a time.

    `measure` takes row numbers. The interval is value +- t se, with se^2 = (k-1)/k sum (theta_i - mean)^2 over k
    subsets (Efron and Tibshirani 1993, chapter 11); NaN with fewer than four rows.
    """
    rows = np.arange(n)
    value = measure(rows)
    if n < 4:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    k = min(parts, n)
    left = np.array([measure(rows[rows % k != left_out]) for left_out in range(k)])
    reach = scipy.stats.t.ppf(0.975, k - 1) * jackknife_error(left)
    return value, value - reach, value + reach


def jackknife_error(left_out: Floats) -> Floats:
    """Return the standard error (...) of a statistic from its values (k, ...), each without one of k subsets."""
    k = len(left_out)
    error: Floats = np.sqrt((k - 1) / k * ((left_out - left_out.mean(0)) ** 2).sum(0))
    return error
