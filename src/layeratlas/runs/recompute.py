"""The stage that runs a sample of a run's texts alone, before anything is analysed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from layeratlas.runs.workspace import StageFunction, Workspace

STAGE = "recompute"
# Where `run.json` keeps what came of it.
FIELD = "recomputed"


class Recomputation(Protocol):
    """A sample that was run alone; `demand` raises where it differs from what the run kept."""

    def record(self) -> dict[str, Any]:
        """Return what `run.json` keeps."""

    def demand(self) -> None:
        """Raise an error where the difference is more than rounding."""


def recompute_stage(recompute: Callable[[Workspace], Recomputation]) -> StageFunction:
    """Return the stage that notes in `run.json` how far a study's sample is from what was kept, and fails beyond it."""

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
