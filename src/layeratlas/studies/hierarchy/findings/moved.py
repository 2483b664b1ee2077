"""The variation of peak and emergence depths over wordings, word lists, folds and seeds, part of the main intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layeratlas.core.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Standard errors of depths by level, in addition to those over groups; unmeasured levels are missing."""

    peak: Mapping[str, float] = field(default_factory=dict)
    emergence: Mapping[str, float] = field(default_factory=dict)

    def of_pair(self, quantity: Mapping[str, float], earlier: str, later: str) -> float:
        """Return the standard error of the difference of two levels, whose errors are independent (different texts)."""
        return float(np.hypot(quantity.get(earlier, 0.0), quantity.get(later, 0.0)))


NOT_MOVED = Moved()


def spread_out(draws: Floats, error: float) -> Floats:
    """Return draws (B,) with an added normal error (seeded, equal in every run); unchanged if `error` is 0."""
    if not error:
        return draws
    wide: Floats = draws + error * np.random.default_rng(61).standard_normal(len(draws))
    return wide
