"""A claim: the grammatical number of a noun is decoded best in the lower half of the layers."""

from __future__ import annotations

from layeratlas.runs.claim import Judgement, undecided
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim


class EarlyPlurals(RunClaim):
    """The whole interval of the peak's depth must be below one half; above one half it is contradicted."""

    name = "P1"
    summary = "the number of nouns is decoded best in the lower half"
    citation = "Example 2026"
    published = "an example: no paper reports it"
    study = "hierarchy"

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the verdict of one run, from its finding of kind `peak`."""
        peaks = [finding for finding in run.of_kind("peak") if finding.level == "number of nouns"]
        if not peaks or peaks[0].verdict != "supported":
            return undecided("layeratlas run hierarchy --task plurals")
        peak = peaks[0]
        verdict = "supported" if peak.hi < 0.5 else "not supported" if peak.lo > 0.5 else "inconclusive"
        numbers = {"estimate": peak.estimate, "lo": peak.lo, "hi": peak.hi, "p": peak.p, "n": peak.n}
        return Judgement(verdict=verdict, statement=peak.statement, null="a peak at half of the depth", **numbers)


PLUGIN = EarlyPlurals()
