"""The stages of the hierarchy study; importing them takes longer than naming the study."""

from __future__ import annotations

from layeratlas.report.stage import report_stage
from layeratlas.runs.recompute import STAGE as RECOMPUTE
from layeratlas.runs.recompute import recompute_stage
from layeratlas.runs.study import Study
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.hierarchy.analysing import analyse_stage
from layeratlas.studies.hierarchy.capturing import capture_stage, recompute
from layeratlas.studies.hierarchy.cells import probe_stage
from layeratlas.studies.hierarchy.controls.random_weights import random_weights_stage
from layeratlas.studies.hierarchy.experts.stage import experts_stage
from layeratlas.studies.hierarchy.learning.stage import learning_stage
from layeratlas.studies.hierarchy.positions.stage import positions_stage
from layeratlas.studies.hierarchy.robustness.stage import robustness_stage


def stages(study: Study) -> dict[str, StageFunction]:
    """Return the stages in order."""
    return {
        "capture": capture_stage,
        RECOMPUTE: recompute_stage(recompute),
        "probe": probe_stage,
        "random weights": random_weights_stage,
        "robustness": robustness_stage,
        "learning curves": learning_stage,
        "positions": positions_stage,
        "experts": experts_stage,
        "analyse": analyse_stage,
        "report": report_stage(study),
    }
