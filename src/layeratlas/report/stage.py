"""The report stage, the last of every study."""

from __future__ import annotations

from layeratlas.runs.manifest import SUMMARY
from layeratlas.runs.study import Study
from layeratlas.runs.workspace import StageFunction, Workspace


def report_stage(study: Study) -> StageFunction:
    """Return the stage that builds a study's report from the tables."""

    def stage(work: Workspace) -> list[str]:
        from layeratlas import report
        from layeratlas.runs.finished import FinishedRun

        with work.progress.stage("report", 1) as step:
            report.build(work.folder, study)
            work.manifest[SUMMARY] = report.summary_of(FinishedRun(work.folder), study)
            step.advance()
        return ["report.html"]

    return stage
