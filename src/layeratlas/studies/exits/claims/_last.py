"""The exit before the last against the last, of one level: what claims about single levels share."""

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
    """The exit before the last must beat the last one in `level`, which `task` asks."""

    study = "exits"
    level = ""
    task = ""

    def judge_run(self, run: FinishedRun) -> Judgement:
        """Return the finding on the last two exits from the other side."""
        found = [turned(finding) for finding in run.of_kind(ExitFinding.LAST_EXIT) if finding.level == self.level]
        return all_of(found, 1, f"layeratlas run exits with the task {self.task}")


def turned(finding: Finding) -> Finding:
    """Return a comparison of two exits from the other side."""
    return replace(
        finding,
        estimate=-finding.estimate,
        lo=-finding.hi,
        hi=-finding.lo,
        verdict=_OPPOSITE[finding.verdict],
    )
