"""The stages of the causal study; importing them takes longer than naming the study."""

from __future__ import annotations

from layeratlas.report.stage import report_stage
from layeratlas.runs.study import Study
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.causal.analysing import analyse_stage
from layeratlas.studies.causal.capturing import capture_stage
from layeratlas.studies.causal.editing import edit_stage


def stages(study: Study) -> dict[str, StageFunction]:
    """Return the stages in order."""
    return {
        "capture": capture_stage,
        "edit": edit_stage,
        "analyse": analyse_stage,
        "report": report_stage(study),
    }
