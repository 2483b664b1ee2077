"""An estimate over passages with its bootstrap draws, and an interval that is valid for few passages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import few_groups

# Extra widening for skew; simulated intervals of log-normal divergences (standard deviation 0.2 to 0.5) need it.
_SKEWED = 1.08


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number (or an array of them) over `passages` passages, with its bootstrap draws on the first axis.

    `most` is the largest possible value.
    """

    value: Floats
    draws: Floats
    passages: int
    most: float = np.inf

    @property
    def plausible(self) -> Floats:
        """Plausible values of the quantity (B, ...): draws widened for few passages (`few_groups`).

        Positive numbers are widened on a log scale and mirrored at the estimate (basic bootstrap). Divergences are
        skewed over passages, so a sample without large ones has too low a mean and too small a spread.
        """
        factor = few_groups(self.passages, _SKEWED)
        finite = np.isfinite(self.draws).all(0) & np.isfinite(self.value)
        positive = (self.draws > 0).all(0) & (self.value > 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = (self.draws / self.value) ** factor
            mirrored = np.where(finite, self.value / ratio, self.value * ratio)
            linear = self.value + factor * (self.draws - self.value)
        plausible = np.where(positive, mirrored, linear)
        return np.minimum(np.where(np.isnan(plausible), self.draws, plausible), self.most)

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % interval, from order statistics because draws may be infinite."""
        draws = np.sort(self.plausible, axis=0)
        out = int(0.025 * len(draws))
        return draws[out], draws[-1 - out]

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Value, lower and upper end of a single number."""
        lo, hi = self.interval
        return float(self.value), float(lo), float(hi)
