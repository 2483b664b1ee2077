"""A line of the table of rates (the planted effect, the count, the required bounds), and the check that computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import scipy

# The probability that a line fails by chance although the verdicts are correct.
_FALSE_ALARM = 0.01


@dataclass(frozen=True, kw_only=True)
class Rate:
    """One line of the table: hits among trials, and the bounds on the rate that are required.

    `planted` names the case, `finding` the counted verdict.
    """

    planted: str
    finding: str
    hits: int
    trials: int
    at_least: float = 0.0
    at_most: float = 1.0

    @property
    def rate(self) -> float:
        """The share of hits."""
        return self.hits / max(self.trials, 1)

    @property
    def passed(self) -> bool:
        """Whether the rate lies between two bounds, or does not miss a single bound significantly (p = 0.01).

        With a single bound, hits are tested as binomial. Without any trial, the line fails.
        """
        if not self.trials:
            return False
        if self.at_least > 0 and self.at_most < 1:
            return self.at_least <= self.rate <= self.at_most
        if self.at_least > 0:
            return bool(scipy.stats.binom.cdf(self.hits, self.trials, self.at_least) > _FALSE_ALARM)
        return bool(scipy.stats.binom.sf(self.hits - 1, self.trials, self.at_most) > _FALSE_ALARM)


class Count(NamedTuple):
    """Hits among trials."""

    hits: int
    trials: int = 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """A line of the table: the planted effect, the count from one simulation, and the bounds on its rate.

    `simulate` takes a seed. `weight` multiplies the requested number of simulations: above 1 for a cheap check whose
    rate must be known precisely, below 1 for an expensive one.
    """

    planted: str
    finding: str
    simulate: Callable[[int], Count]
    at_least: float = 0.0
    at_most: float = 1.0
    weight: float = 1.0

    def simulations(self, runs: int) -> int:
        """Return the check's number of simulations for a number of runs per case; at least one if there are runs."""
        return max(1, round(runs * self.weight)) if runs else 0

    def rate(self, counts: Iterable[Count]) -> Rate:
        """Return the rate over simulations."""
        counts = list(counts)
        return Rate(
            planted=self.planted,
            finding=self.finding,
            hits=sum(count.hits for count in counts),
            trials=sum(count.trials for count in counts),
            at_least=self.at_least,
            at_most=self.at_most,
        )
