"""X5: low layers perform alike across sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import scipy

from layeratlas.runs.claim import Claim, Judgement, undecided
from layeratlas.runs.finished import RunTables
from layeratlas.runs.judging import largest_family
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.exits.citation import CHEN

_MARGIN, _ALPHA = 0.05, 0.05


class LowAlike(Claim):
    """What exits below a quarter of the depth gain over the best baseline must agree within 0.05 between all sizes."""

    name = "X5"
    summary = "low layers perform alike across sizes"
    citation = CHEN
    published = "read off curves; the baseline of token counts, which gives the same numbers, is not taken away"
    study = "exits"
    sizes = 2
    joins = True

    def chosen(self, runs: Sequence[RunTables]) -> Sequence[RunTables]:
        """Return the runs of the family with the most sizes."""
        return largest_family(runs)

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict for one family, from the runs' own intervals (not paired)."""
        ask = "layeratlas run exits on two sizes of a family or more"
        found = [(run, row) for run in runs for row in run.found("X5")[:1]]
        if len(found) < 2:
            return undecided(ask)
        gaps = []
        for (one, a), (two, b) in combinations(found, 2):
            spread = float(np.hypot(a["hi"] - a["lo"], b["hi"] - b["lo"])) / 2
            gap = b["estimate"] - a["estimate"]
            gaps.append((abs(gap), gap, spread, f"{one.model} to {two.model}: {gap:+.2f}"))
        # All pairs must agree, each tested at its own level; of many pairs one differs by chance, unless corrected.
        wider = float(scipy.stats.norm.isf(_ALPHA / 2 / len(gaps)) / scipy.stats.norm.isf(_ALPHA / 2))
        size, most, reach, _ = max(gaps)
        lo, hi = most - wider * reach, most + wider * reach
        alike = all(gap + spread <= _MARGIN for gap, _, spread, _ in gaps)
        apart = any(gap > max(_MARGIN, wider * spread) for gap, _, spread, _ in gaps)
        verdict: Verdict = "supported" if alike else "not supported" if apart else "inconclusive"
        says = "Gains over the best baseline below depth 0.25 " + {
            "supported": "agree within 0.05", "not supported": "differ", "inconclusive": "cannot be told equal or not",
        }[verdict]  # fmt: skip
        text = f"{says} ({'; '.join(part for *_, part in gaps)})."
        null = "a difference of 0.05 or more between two sizes (two one-sided tests); none, corrected for all pairs"
        return Judgement(verdict, text, size, lo, hi, float("nan"), null, len(found))


PLUGIN = LowAlike()
