"""What a test can say: an effect with its interval and p-value, and the one rule that turns it into a verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA, draws_interval
from layeratlas.stats.tests import holm, two_sided

Verdict = Literal["supported", "not supported", "inconclusive"]
_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An estimate with its 95 % interval and p-value; NaN for what was not computed."""

    estimate: float
    lo: float = _NAN
    hi: float = _NAN
    p: float = _NAN

    def verdict(self, *, null: float = 0.0, margin: float = 0.0) -> Verdict:
        """Return what interval and p-value say of an effect above `null`.

        - `supported`: the whole interval is above `null`, and p, where there is one, is at most 0.05;
        - `not supported`: the whole interval is below `null + margin`: the effect is opposite (margin 0), or too small
          to matter (equivalence);
        - `inconclusive`: anything else.
        """
        if self.lo > null and (math.isnan(self.p) or self.p <= ALPHA):
            return "supported"
        return "not supported" if self.hi < null + margin else "inconclusive"

    def verdict_by_sign(self) -> Verdict:
        """Return what an exact two-sided test says of an effect above 0: its sign, where p is at most 0.05."""
        if self.p <= ALPHA and self.estimate != 0:
            return "supported" if self.estimate > 0 else "not supported"
        return "inconclusive"


def bootstrapped(
    estimate: float, draws: Floats, groups: int, *, least: float = -math.inf, most: float = math.inf
) -> Effect:
    """Return an estimate with the interval (see `draws_interval`) and the two-sided p-value of its draws (B,).

    The draws of one group, which always agree, decide nothing: p is 1.
    """
    lo, hi = draws_interval(draws, groups, least=least, most=most)
    return Effect(estimate=float(estimate), lo=float(lo), hi=float(hi), p=two_sided(draws) if groups > 1 else 1.0)


def holm_corrected(effects: Sequence[Effect]) -> list[Effect]:
    """Return effects that were tested together, in the given order, with Holm's adjusted p-values."""
    return [replace(effect, p=p) for effect, p in zip(effects, holm([e.p for e in effects]), strict=True)]
