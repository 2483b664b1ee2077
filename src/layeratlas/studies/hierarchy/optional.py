"""Optional stages: on at every size except quick, unless a setting says otherwise."""

from __future__ import annotations

from typing import Literal

from layeratlas.runs.workspace import Workspace
from layeratlas.studies.hierarchy.names import RESIDUAL

OptionalStage = Literal["random_weights", "robustness", "learning_curves"]


def is_wanted(work: Workspace, stage: OptionalStage) -> bool:
    """Return whether a run includes an optional stage; never without the residual stream, which all of them probe."""
    setting: bool | None = getattr(work.settings, stage)
    asked = work.spec.size != "quick" if setting is None else setting
    return asked and RESIDUAL in work.spec.capture.components
