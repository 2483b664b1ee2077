"""X5: low layers perform alike across sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from layeratlas.claim import Claim, Judgement, RunTables, undecided
from layeratlas.claims._judging import CHEN, by_family
from layeratlas.records import Verdict

_MARGIN = 0.05


class LowAlike(Claim):
    """What exits below a quarter of the depth gain over the best baseline must agree within 0.05 between all sizes."""

    name = "X5"
    summary = "low layers perform alike across sizes"
    citation = CHEN
    published = "read off curves; the baseline of token counts, which gives the same numbers, is not taken away"
    study = "exits"
    sizes = 2

    def decide(self, runs: Sequence[RunTables]) -> Judgement:
        """Return the verdict for the family with the most sizes, from the runs' own intervals (not paired)."""
        ask = "layeratlas run exits on two sizes of a family or more"
        mine = max(by_family(runs).values(), key=len, default=[])
        found = [(run, row) for run in mine for row in run.found("X5")[:1]]
        if len(found) < 2:
            return undecided(ask)
        gaps = []
        for (one, a), (two, b) in combinations(found, 2):
            spread = np.hypot(a["hi"] - a["lo"], b["hi"] - b["lo"]) / 2
            gap = b["estimate"] - a["estimate"]
            gaps.append((abs(gap), gap - spread, gap + spread, f"{one.model} to {two.model}: {gap:+.2f}"))
        size, lo, hi, _ = max(gaps)
        alike = all(max(-low, high) <= _MARGIN for _, low, high, _ in gaps)
        apart = any((low > 0 or high < 0) and gap > _MARGIN for gap, low, high, _ in gaps)
        verdict: Verdict = "supported" if alike else "not supported" if apart else "inconclusive"
        says = "Gains over the best baseline below depth 0.25 " + {
            "supported": "agree within 0.05", "not supported": "differ", "inconclusive": "cannot be told equal or not",
        }[verdict]  # fmt: skip
        text = f"{says} ({'; '.join(part for *_, part in gaps)})."
        null = "a difference of 0.05 or more between two sizes (two one-sided tests)"
        return Judgement(verdict, text, size, lo, hi, float("nan"), null, len(found))


PLUGIN = LowAlike()
