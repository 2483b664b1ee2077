"""The stages of the segments study; importing them takes longer than naming the study."""

from __future__ import annotations

from layeratlas.report.stage import report_stage
from layeratlas.runs.recompute import STAGE as RECOMPUTE
from layeratlas.runs.recompute import recompute_stage
from layeratlas.runs.study import Study
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.segments.analysing import analyse_stage
from layeratlas.studies.segments.dropping.stage import drop_stage
from layeratlas.studies.segments.information.stage import inform_stage
from layeratlas.studies.segments.intervention.generating import generate_stage
from layeratlas.studies.segments.intervention.stage import intervene_stage
from layeratlas.studies.segments.measuring import measure_stage, recompute
from layeratlas.studies.segments.perturbation.stage import perturb_stage
from layeratlas.studies.segments.segmenting import segment_stage


def stages(study: Study) -> dict[str, StageFunction]:
    """Return the stages in order."""
    return {
        "measure": measure_stage,
        "segment": segment_stage,
        "perturb": perturb_stage,
        "drop": drop_stage,
        "inform": inform_stage,
        "intervene": intervene_stage,
        "generate": generate_stage,
        RECOMPUTE: recompute_stage(recompute),
        "analyse": analyse_stage,
        "report": report_stage(study),
    }
