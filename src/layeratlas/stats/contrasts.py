"""Tests of differences between models: corrected for all that are looked at together, with equivalence margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from layeratlas.stats.quantities import Quantity, Unit
from layeratlas.stats.verdicts import Effect, Verdict

# A difference whose interval stays within this much is called none: fractions of depth, units of the measure, log10.
MARGINS: Mapping[Unit, float] = {"depth": 0.05, "value": 0.02, "log10": 0.1}


def adjusted(differences: Sequence[Quantity]) -> list[float]:
    """Return each difference's two-sided p-value against none, corrected for all that are looked at together.

    Single-step maximum of studentised bootstrap errors (Westfall and Young 1993); all models share the draws of one set
    of texts, so that differences keep their dependence. Never below 1 / (B + 1).
    """
    if not differences:
        return []
    spread = np.array([difference.spread for difference in differences])
    sizes = np.abs([difference.estimate for difference in differences]) / spread
    rng = np.random.default_rng(23)
    count = min(len(difference.noise) for difference in differences)
    largest = np.zeros(count)
    for difference, error in zip(differences, spread, strict=True):
        # Two grids of layers err by up to the sum of their half steps, more than one uniform error of that variance.
        noise = difference.noise[:count] + rng.standard_normal(count) * difference.grain
        largest = np.maximum(largest, np.abs(noise) / error)
    return [(1 + float((largest >= size - 1e-9).sum())) / (1 + count) for size in sizes]


def verdict_of(difference: Quantity, p: float) -> Verdict:
    """Return `supported` for a difference, `not supported` where the interval stays within its unit's margin.

    A difference must pass the corrected test and have an interval without 0: errors can be lopsided, and the test
    takes them to be as large on both sides.
    """
    lo, hi = difference.interval
    return Effect(estimate=difference.estimate, lo=lo, hi=hi, p=p).difference(MARGINS[difference.unit])
