"""P-ratio: the Local segment is 493 times as brittle in one family as in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import by_family
from layeratlas.stats.intervals import ALPHA, ROUNDING
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.segments.citation import ZHANG
from layeratlas.studies.segments.claims._brittleness import ASKED, local_brittleness

_PUBLISHED = 493.0
# A ratio of the same order: within half a decade on either side.
_REACH = 0.5


class BrittlenessRatioClaim(Claim):
    """The ratio of the families' geometric means must be within half a decade of the published one.

    Models are the units, so the interval includes the variation between models of a family (Welch 1947).
    """

    name = "P-ratio"
    summary = "the Local segment is about 493 times as brittle in one family as in another, by geometric means"
    citation = ZHANG
    published = "493 between families; whether of means or of extremes is not visible, nor is the noise"
    study = "segments"
    sizes = 4
    families = 2
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs with a Local segment measured under relative noise."""
        return [run for run in runs if local_brittleness(run) is not None]

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict on the two families that differ most, among those with two or more models."""
        logs = {
            family: np.log10([b for run in members if (b := local_brittleness(run)) is not None])
            for family, members in by_family(runs).items()
        }
        known = {family: values for family, values in logs.items() if len(values) > 1}
        if len(known) < 2:
            return undecided(ASKED)
        pair = max(combinations(known, 2), key=lambda two: abs(known[two[0]].mean() - known[two[1]].mean()))
        first, second = sorted(pair, key=lambda family: -float(known[family].mean()))
        gap = _welch(known[first], known[second], tests=len(known) * (len(known) - 1) // 2)
        return _judged(gap, known, (first, second))


def _judged(gap: Effect, known: Mapping[str, Floats], pair: tuple[str, str]) -> Judgement:
    centre = np.log10(_PUBLISHED)
    verdict = gap.within(centre - _REACH, centre + _REACH)
    means = "; ".join(f"{family} {10 ** float(values.mean()):.3g}" for family, values in known.items())
    ratio, lo, hi = (10**value for value in (gap.estimate, gap.lo, gap.hi))
    return Judgement(
        verdict=verdict,
        statement=f"Geometric means of B of the Local segment: {means}; {pair[0]} over {pair[1]} {ratio:.3g} "
        f"[{lo:.3g}, {hi:.3g}] (published: {_PUBLISHED:g}).",
        estimate=ratio,
        lo=lo,
        hi=hi,
        p=gap.p,
        null=f"a ratio below {_PUBLISHED / 10**_REACH:.0f} or above {_PUBLISHED * 10**_REACH:.0f}",
        n=sum(len(values) for values in known.values()),
        needs=ASKED if verdict == "inconclusive" else "",
    )


def _welch(larger: Floats, smaller: Floats, tests: int) -> Effect:
    """Return the difference of two means with Welch's interval; p tests a ratio beyond either bound.

    The pair is the one, of `tests` pairs, that differs most, so the level and p are Bonferroni-corrected.
    """
    centre = float(np.log10(_PUBLISHED))
    gap = float(larger.mean() - smaller.mean())
    parts = np.array([values.var(ddof=1) / len(values) for values in (larger, smaller)])
    error = max(float(np.sqrt(parts.sum())), ROUNDING)
    freedom = parts.sum() ** 2 / max((parts**2 / np.array([len(larger) - 1, len(smaller) - 1])).sum(), ROUNDING**2)
    t = scipy.stats.t(max(float(freedom), 1.0))
    reach = float(t.isf(ALPHA / 2 / tests)) * error
    beyond = max(t.sf((gap - centre + _REACH) / error), t.sf((centre + _REACH - gap) / error))
    return Effect(estimate=gap, lo=gap - reach, hi=gap + reach, p=min(1.0, tests * float(beyond)))


PLUGIN = BrittlenessRatioClaim()
