"""Tests of differences between models, corrected for multiple comparisons, with equivalence margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.stats.quantities import Quantity, Unit
from layeratlas.stats.tests import rank_p
from layeratlas.stats.verdicts import Effect, Verdict

# Equivalence margins: fractions of depth, units of the measure, and log10.
MARGINS: Mapping[Unit, float] = {"depth": 0.05, "value": 0.02, "log10": 0.1}


def adjusted(differences: Sequence[Quantity]) -> list[float]:
    """Return the two-sided p-value of each difference against 0, corrected for all of them.

    Single-step maximum of studentised bootstrap errors (Westfall and Young 1993); all models share the draws of one set
    of texts, which preserves the dependence of the differences. Never below 1 / (B + 1).
    """
    if not differences:
        return []
    spread = np.array([difference.spread for difference in differences])
    sizes = np.abs([difference.estimate for difference in differences]) / spread
    rng = np.random.default_rng(23)
    count = min(len(difference.noise) for difference in differences)
    largest = np.zeros(count)
    for difference, error in zip(differences, spread, strict=True):
        # The errors of two layer grids add up to more than one uniform error of the same variance, hence a normal.
        noise = difference.noise[:count] + rng.standard_normal(count) * difference.grain
        largest = np.maximum(largest, np.abs(noise) / error)
    return [rank_p(float(size), largest) for size in sizes]


def verdict_of(difference: Quantity, p: float) -> Verdict:
    """Return `supported` for a difference, `not supported` if its interval is within the margin of its unit.

    A difference needs both a significant corrected p and an interval without 0, since errors can be skewed and the test
    assumes symmetric errors.
    """
    lo, hi = difference.interval
    return Effect(estimate=difference.estimate, lo=lo, hi=hi, p=p).difference(MARGINS[difference.unit])
