"""P-values, and their correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy

from layeratlas.core.arrays import Floats


def holm(ps: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p-values, in the given order."""
    out, running = [0.0] * len(ps), 0.0
    for rank, i in enumerate(np.argsort(ps)):
        running = max(running, min(1.0, (len(ps) - rank) * ps[i]))
        out[i] = running
    return out


def two_sided(draws: Floats) -> float:
    """Return the bootstrap p-value of `zero`, never below what the number of draws allows."""
    return min(1.0, 2 * (1 + min(int((draws <= 0).sum()), int((draws >= 0).sum()))) / (1 + len(draws)))


def normal_tail(z: float) -> float:
    """Return the share of a standard normal above z."""
    return float(scipy.stats.norm.sf(z))
