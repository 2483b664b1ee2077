"""X5: low layers perform alike across sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import largest_family
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.verdicts import decide
from layeratlas.studies.exits.citation import CHEN

_MARGIN = 0.05
_WORDS = {
    "supported": "agree within 0.05",
    "not supported": "differ",
    "inconclusive": "are too uncertain to tell agreement within 0.05 from a difference",
}


class LowAlikeClaim(Claim):
    """The gain of exits below a quarter of the depth over the best baseline must agree within 0.05 across sizes."""

    name = "X5"
    summary = "low layers perform alike across sizes"
    citation = CHEN
    published = "read off curves; the baseline of token counts, which gives the same numbers, is not taken away"
    study = "exits"
    sizes = 2
    joins = True

    def chosen(self, runs: Sequence[FinishedRun]) -> Sequence[FinishedRun]:
        """Return the runs of the family with the most sizes."""
        return largest_family(runs)

    def decide(self, runs: Sequence[FinishedRun]) -> Judgement:
        """Return the verdict for one family, from each run's own interval (not paired)."""
        gains = [(run, finding) for run in runs for finding in run.of_kind("X5")[:1]]
        if len(gains) < 2:
            return undecided("layeratlas run exits on two sizes of a family or more")
        gaps = [_gap(*pair) for pair in combinations(gains, 2)]
        # Agreement needs every pair at the 0.05 level, without a correction. A difference needs only one of many pairs,
        # which can occur by chance, so it is Bonferroni-corrected.
        wider = float(scipy.stats.norm.isf(ALPHA / 2 / len(gaps)) / scipy.stats.norm.isf(ALPHA / 2))
        alike = all(abs(gap.estimate) + gap.reach <= _MARGIN for gap in gaps)
        apart = any(abs(gap.estimate) > max(_MARGIN, wider * gap.reach) for gap in gaps)
        verdict = decide(shown=alike, refuted=apart)
        largest = max(gaps, key=lambda gap: abs(gap.estimate))
        return Judgement(
            verdict=verdict,
            statement=f"Gains over the best baseline below depth 0.25 {_WORDS[verdict]} "
            f"({'; '.join(f'{gap.models}: {gap.estimate:+.2f}' for gap in gaps)}).",
            estimate=abs(largest.estimate),
            lo=largest.estimate - wider * largest.reach,
            hi=largest.estimate + wider * largest.reach,
            null="a difference of 0.05 or more between two sizes (two one-sided tests); none, corrected for all pairs",
            n=len(gains),
        )


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """The difference between two models' gains, and the half-width of its 95 % interval."""

    models: str
    estimate: float
    reach: float


def _gap(first: tuple[FinishedRun, Finding], second: tuple[FinishedRun, Finding]) -> _Gap:
    (run_a, a), (run_b, b) = first, second
    reach = float(np.hypot(a.hi - a.lo, b.hi - b.lo)) / 2
    return _Gap(models=f"{run_a.model} to {run_b.model}", estimate=b.estimate - a.estimate, reach=reach)


PLUGIN = LowAlikeClaim()
