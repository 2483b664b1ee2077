"""Base class of claims that compare the exit before the last with the last one in a single level."""

from __future__ import annotations

from dataclasses import replace

from layeratlas.runs.claim import Judgement
from layeratlas.runs.finding import Finding
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.judging import RunClaim, all_of
from layeratlas.stats.verdicts import Verdict
from layeratlas.studies.exits.names import ExitFinding

_OPPOSITE: dict[Verdict, Verdict] = {
    "supported": "not supported",
    "not supported": "supported",
    "inconclusive": "inconclusive",
}


class LastButOneOfLevel(RunClaim):
    """The exit before the last must beat the last one in `level`; `task` is the task that asks it."""

    study = "exits"
    level = ""
    task = ""

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Judge the finding on the last two exits with its sign reversed."""
        found = [turned(finding) for finding in run.of_kind(ExitFinding.LAST_EXIT) if finding.level == self.level]
        return all_of(found, 1, f"layeratlas run exits with the task {self.task}")


def turned(finding: Finding) -> Finding:
    """Return the comparison with the two exits swapped."""
    return replace(
        finding,
        estimate=-finding.estimate,
        lo=-finding.hi,
        hi=-finding.lo,
        verdict=_OPPOSITE[finding.verdict],
    )
