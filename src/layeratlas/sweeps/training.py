"""A study over training: the same run on every checkpoint of a model, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from layeratlas.api.compared import Comparison
from layeratlas.api.options import Options, explicit
from layeratlas.api.specs import TRAINED, make_specs
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.formatting import counted
from layeratlas.core.progress import Progress, checked_progress
from layeratlas.core.spec import DEFAULT_MODEL, Size, check_size
from layeratlas.core.steps import checkpoint_in, checkpoints_of
from layeratlas.runs.pipeline import default_folder
from layeratlas.sweeps.finishing import comparison_folder
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.running import sweep
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.units import TOGETHER, units_of

_EXPECTED = "two or more --revision, or a folder of checkpoints (step100, step1000 ...)"


@explicit(Options)
def training(
    study: str = "hierarchy",
    *,
    model: str | Path | Sequence[str | Path] = DEFAULT_MODEL,
    revisions: Sequence[str] = (),
    size: Size = "standard",
    out: str | Path | None = None,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Comparison:
    """Run a study on every checkpoint of a training and return their comparison, with its axis of training.

    `model` is a folder of checkpoints (`step100/`, `step1000/` ...), several such folders, or a hub id with
    `revisions`, whose names hold the step. `study` may be `atlas`: hierarchy, exits and segments, and whether answers
    follow what probes read. Options are those of `run`. Every run is in `OUT/runs`, and the same call resumes what was
    stopped. Raises AtlasError where there are no two checkpoints, or where none or a part of them could be run.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if isinstance(revisions, str) or "revision" in given:
        raise SpecError("a training is of several revisions", 'revisions=["step1", "step1000"]', "use layeratlas.run")
    models = [str(one) for one in ([model] if isinstance(model, str | Path) else model)]
    return over_checkpoints(plan_of(study, models, revisions, size, given), out, checked_progress(progress))


def plan_of(
    study: str, models: Sequence[str], revisions: Sequence[str], size: str, options: Mapping[str, Any]
) -> SweepSpec:
    """Return the sweep over all checkpoints.

    Raises SpecError like `make_specs`, and for fewer than two checkpoints or a name without a step.
    """
    found = [path for model in models for path in checkpoints_of(model)]
    if len(found) * max(len(revisions), 1) < 2:
        raise SpecError(f"{', '.join(map(repr, models))} holds no two checkpoints", _EXPECTED)
    unnamed = [revision for revision in revisions if checkpoint_in(revision) is None]
    if unnamed:
        todo = "run each on its own, then layeratlas compare --step STEP=PART"
        raise SpecError(f"the revision '{unnamed[0]}' names no step", "names such as step1000", todo)
    specs = make_specs(study, found[0], size, {**options, "revision": None}, TRAINED)
    kept = {name: value for name, value in options.items() if name not in ("settings", "seed", "tasks", "revision")}
    return SweepSpec(
        models=tuple(found),
        revisions=tuple(revisions),
        studies=tuple(spec.study for spec in specs),
        tasks=(specs[0].tasks,) if specs[0].tasks else (),
        seeds=(specs[0].seed,),
        size=check_size(size),
        options=kept,
        settings={spec.study: spec.settings for spec in specs},
        together=True,
    )


def over_checkpoints(plan: SweepSpec, out: str | Path | None, progress: Progress) -> Comparison:
    """Run a sweep over checkpoints and return the comparison of all its runs, in `OUT/comparisons/all`."""
    named = default_folder(units_of(plan)[0].spec)
    done = sweep(plan, out=out or named.with_name(f"training-{named.name}"), resources=Resources(), progress=progress)
    if done.failed:
        name, why = next(iter(done.failed.items()))
        raise StoreError(
            f"{len(done.failed)} of {counted(len(done.units), 'run')} failed, the first '{name}': {why}", "", "fix it"
        )
    for why in done.uncompared.values():  # an earlier comparison in the folder is of other runs
        raise StoreError(f"the {len(done.units)} runs are done, and could not be compared: {why}")
    return Comparison(comparison_folder(done.place, TOGETHER))
