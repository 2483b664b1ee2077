"""Effects with intervals and p-values, and the rules that turn them into verdicts.

Every verdict of the package comes from one of these rules, which all call `decide`:

- `Effect.verdict`: an effect above a null (superiority, with a margin for equivalence);
- `Effect.verdict_by_sign`: the sign of an exact two-sided test;
- `Effect.difference`: an effect other than 0, or an equivalence;
- `Effect.within`: an equivalence;
- `all_hold`, `any_holds`: a conjunction or a disjunction of verdicts;
- `decide` itself, for two tests of opposite claims.

`not supported` means that the opposite, or an equivalence, was shown. An effect that was merely not shown is
`inconclusive`, and is reported with the smallest effect that would have been detected (`least_seen`,
`could_have_seen`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import scipy

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA, Z95, draws_interval
from layeratlas.stats.tests import holm, two_sided

Verdict = Literal["supported", "not supported", "inconclusive"]
# The power at which an effect counts as detectable by a run.
POWER = 0.8
_NAN = float("nan")


def decide(*, shown: bool, refuted: bool) -> Verdict:
    """Return the verdict from two tests: of a claim and of its opposite."""
    if shown:
        return "supported"
    return "not supported" if refuted else "inconclusive"


def all_hold(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a conjunction: the claim holds if every part holds.

    Each part is tested at the full level (intersection-union test, Berger 1982); one refuted part refutes the claim.
    A conjunction of no part is inconclusive.
    """
    parts = list(verdicts)
    return decide(shown=bool(parts) and all(part == "supported" for part in parts), refuted="not supported" in parts)


def any_holds(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a disjunction of parts whose p-values were corrected together."""
    parts = list(verdicts)
    return decide(shown="supported" in parts, refuted=bool(parts) and all(part == "not supported" for part in parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An estimate with its 95 % interval and p-value; values that were not computed are NaN."""

    estimate: float
    lo: float = _NAN
    hi: float = _NAN
    p: float = _NAN

    @property
    def significant(self) -> bool:
        """Whether p is at most 0.05; True if there is no test."""
        return math.isnan(self.p) or self.p <= ALPHA

    def verdict(self, *, null: float = 0.0, margin: float = 0.0) -> Verdict:
        """Return what interval and p-value say of an effect above `null`.

        - `supported`: the whole interval is above `null`, and p (if there is one) is at most 0.05;
        - `not supported`: the whole interval is below `null + margin`: the effect is too small to matter (equivalence)
          or, without a margin, opposite, which needs the same p as support;
        - `inconclusive`: anything else.
        """
        refuted = self.hi < null + margin and (margin > 0 or self.significant)
        return decide(shown=self.lo > null and self.significant, refuted=refuted)

    def verdict_by_sign(self) -> Verdict:
        """Return the verdict of an exact two-sided test on an effect above 0: by the sign, if p is at most 0.05."""
        return decide(shown=self.p <= ALPHA and self.estimate > 0, refuted=self.p <= ALPHA and self.estimate < 0)

    def difference(self, margin: float, *, null: float = 0.0) -> Verdict:
        """Return what interval and p-value say of an effect other than `null`.

        - `supported`: the interval excludes `null`, and p (if there is one) is at most 0.05;
        - `not supported`: the interval is within `margin` on both sides of `null` (equivalence by two one-sided tests,
          Schuirmann 1987; a 95 % interval instead of 90 % is conservative).
        """
        shown = (self.lo > null or self.hi < null) and self.significant
        return decide(shown=shown, refuted=max(null - self.lo, self.hi - null) <= margin)

    def within(self, least: float, most: float) -> Verdict:
        """Return whether an effect is between two bounds: supported if the interval is inside, refuted if outside."""
        return decide(
            shown=self.lo >= least and self.hi <= most and self.significant, refuted=self.hi < least or self.lo > most
        )

    @property
    def could_have_seen(self) -> str:
        """The smallest effect detectable with a power of 0.8, from the width of the interval, in words."""
        return could_have_seen(f"{least_seen((self.hi - self.lo) / (2 * Z95)):.2f}")

    def short_of(self, level: float) -> Effect:
        """Return the effect `level` minus this one."""
        return replace(self, estimate=level - self.estimate, lo=level - self.hi, hi=level - self.lo)


def bootstrapped(
    estimate: float, draws: Floats, groups: int, *, least: float = -math.inf, most: float = math.inf
) -> Effect:
    """Return an effect with the interval (see `draws_interval`) and two-sided p-value of its draws (B,).

    With one group all draws are equal and show nothing, so p is 1.
    """
    lo, hi = draws_interval(draws, groups, least=least, most=most)
    return Effect(estimate=float(estimate), lo=float(lo), hi=float(hi), p=two_sided(draws) if groups > 1 else 1.0)


def holm_corrected(effects: Sequence[Effect]) -> list[Effect]:
    """Return effects that were tested together, in the given order, with Holm's adjusted p-values."""
    return [replace(effect, p=p) for effect, p in zip(effects, holm([e.p for e in effects]), strict=True)]


def least_seen(error: float, *, tests: int = 1, sides: int = 2, freedom: float = math.inf) -> float:
    """Return the smallest effect detectable with a power of 0.8, for an estimate with standard error `error`.

    `tests` tests are corrected together (Bonferroni, which is Holm's first step); `freedom` are the degrees of freedom
    of the error. An effect of this size exceeds the critical value with probability 0.8 (Cohen 1988).
    """
    t = scipy.stats.t(freedom)
    return float((t.ppf(1 - ALPHA / (sides * tests)) + t.ppf(POWER)) * error)


def could_have_seen(amount: str) -> str:
    """Return the phrase that states the smallest detectable effect in an inconclusive statement."""
    return f"could have seen {amount}"
