"""How far other wordings, words, folds and seeds move where a level peaks and emerges: part of the main intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from layeratlas.core.arrays import Floats


@dataclass(frozen=True, kw_only=True)
class Moved:
    """Standard errors of depths by level, beyond those over groups; a level that was not measured has none."""

    peak: Mapping[str, float] = field(default_factory=dict)
    emergence: Mapping[str, float] = field(default_factory=dict)

    def of_pair(self, quantity: Mapping[str, float], earlier: str, later: str) -> float:
        """Return the standard error of a difference of two levels, whose texts are different ones."""
        return float(np.hypot(quantity.get(earlier, 0.0), quantity.get(later, 0.0)))


NOT_MOVED = Moved()


def spread_out(draws: Floats, error: float) -> Floats:
    """Return draws (B,) with a further normal error in them, the same in every run; themselves where there is none."""
    if not error:
        return draws
    wide: Floats = draws + error * np.random.default_rng(61).standard_normal(len(draws))
    return wide
