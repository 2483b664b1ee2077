"""The stages of the exits study; importing them takes longer than naming the study."""

from __future__ import annotations

from layeratlas.report.stage import report_stage
from layeratlas.runs.recompute import STAGE as RECOMPUTE
from layeratlas.runs.recompute import recompute_stage
from layeratlas.runs.study import Study
from layeratlas.runs.workspace import StageFunction
from layeratlas.studies.exits.ablation.stage import ablate_stage
from layeratlas.studies.exits.analysis import analyse_stage
from layeratlas.studies.exits.random_weights import random_weights_stage
from layeratlas.studies.exits.scoring import recompute, score_stage
from layeratlas.studies.exits.tuned.stage import tuned_stage


def stages(study: Study) -> dict[str, StageFunction]:
    """Return the stages in order."""
    return {
        "score": score_stage,
        "random weights": random_weights_stage,
        "tuned": tuned_stage,
        "ablate": ablate_stage,
        RECOMPUTE: recompute_stage(recompute),
        "analyse": analyse_stage,
        "report": report_stage(study),
    }
