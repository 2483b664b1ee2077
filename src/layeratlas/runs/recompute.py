"""The stage that runs a sample of a run's texts alone, as a check before the analysis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from layeratlas.runs.workspace import StageFunction, Workspace

STAGE = "recompute"
# The key of the result in `run.json`.
FIELD = "recomputed"


class Recomputation(Protocol):
    """The comparison of texts run alone with the run's stored results."""

    def record(self) -> dict[str, Any]:
        """Return the entry in `run.json`."""

    def demand(self) -> None:
        """Raise an error if the difference is more than rounding."""


def recompute_stage(recompute: Callable[[Workspace], Recomputation]) -> StageFunction:
    """Return the stage that records the difference in `run.json` and fails if it is more than rounding."""

    def stage(work: Workspace) -> list[str]:
        work.manifest.pop(FIELD, None)
        _ = work.model  # loaded before the stage is shown
        with work.progress.stage(STAGE, 1) as step:
            recomputed = recompute(work)
            step.advance()
        work.manifest[FIELD] = recomputed.record()
        recomputed.demand()
        return []

    return stage
