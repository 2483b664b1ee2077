"""H7-late: grammar is sustained from the middle of the depth (layer 14 of 28) on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.stats.curves import depths
from layeratlas.stats.intervals import ROUNDING, percentile_interval
from layeratlas.stats.quantities import peak_value
from layeratlas.stats.tests import two_sided
from layeratlas.stats.verdicts import Effect
from layeratlas.studies.hierarchy.citation import CITATION
from layeratlas.studies.hierarchy.claims._places import kept_curve
from layeratlas.studies.hierarchy.names import RESIDUAL, HierarchyFinding

_LEVEL = "grammar"
# Layer 14 of 28, and the share of the gain at the peak that counts as sustained.
_FROM, _SHARE = 0.5, 0.5


class LateGrammarClaim(RunClaim):
    """In the deeper half of the layers, the mean gain must exceed half of the gain at the peak."""

    name = "H7-late"
    summary = "grammar is sustained from layer 14 of 28 on, by relative depth"
    citation = CITATION
    published = "early (3-5) or sustained late (14), named by a third party's summary; which model is not said"
    study = "hierarchy"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict on the share of the gain that the deeper half keeps, if grammar decodes at all."""
        peaks = [finding for finding in run.of_kind(HierarchyFinding.PEAK) if finding.level == _LEVEL]
        kept = [held for peak in peaks if peak.verdict == "supported" for held in _sustained(run, peak)]
        return all_of(kept, 1, "layeratlas run hierarchy with the task grammar, at standard size or full")


def _sustained(run: FinishedRun, peak: Finding) -> list[Finding]:
    """Return whether a level keeps more than half of its gain over the floor; empty if the run kept no draws.

    The peak is chosen on one half of the groups and measured on the other, so it is not biased upward by selection.
    """
    curve = kept_curve(run, peak.level)
    if curve is None:
        return []
    deep = depths(len(curve.estimate), RESIDUAL) >= _FROM
    top = int(curve.estimate.argmax())
    best = max(peak_value(curve).value.estimate - curve.floor[top], ROUNDING)
    drawn_best = np.maximum(curve.draws[:, top] - curve.estimate[top] + best, ROUNDING)
    draws = (curve.draws - curve.floor)[:, deep].mean(1) / drawn_best
    estimate = float((curve.estimate - curve.floor)[deep].mean() / best)
    lo, hi = (float(end) for end in percentile_interval(draws))
    effect = Effect(estimate=estimate, lo=lo, hi=hi, p=two_sided(draws - _SHARE))
    verdict = effect.verdict(null=_SHARE)
    says = {
        "supported": "keeps more than half",
        "not supported": "keeps less than half",
        "inconclusive": "is not shown to keep more or less than half",
    }[verdict]
    return [
        replace(
            peak,
            statement=f"From half of the depth on {peak.level} {says} of its gain at the peak: {estimate:.2f} "
            f"[{lo:.2f}, {hi:.2f}].",
            estimate=estimate,
            lo=lo,
            hi=hi,
            p=effect.p,
            null="half of the gain at the peak is kept",
            verdict=verdict,
        )
    ]


PLUGIN = LateGrammarClaim()
