"""The stage that asks some questions again under each ablation, one forward pass per ablation.

The folder `ablated/` holds one file per ablation, so an interrupted stage resumes where it stopped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.core.edits import thirds
from layeratlas.core.errors import CaptureError, ModelError, SpecError
from layeratlas.core.spec import hash_of
from layeratlas.data.questions import QuestionSet
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.exits.ablation.passes import Pass, continuations_of, make_pass, mean_outputs
from layeratlas.studies.exits.ablation.plan import SUBLAYERS, Ablation, SublayerKind, plan_ablations
from layeratlas.studies.exits.posing import PosedSet, pose
from layeratlas.studies.exits.settings import ExitSettings, Replacement

FOLDER = "ablated"
_VALUES = "log_likelihoods"
_KINDS: dict[Replacement, tuple[SublayerKind, ...]] = {
    "mean": ("mean",),
    "zero": ("zero",),
    "both": ("zero", "mean"),
}


def ablate_stage(work: Workspace) -> list[str]:
    """Ask the first questions of every set under each ablation; return the files, the whole model's first.

    Runs only with `--set ablate=true`. If the model cannot be edited (streamed weights) or a question does not fit the
    context, the stage is skipped and `run.json` gives the reason under `ablation`.
    """
    settings: ExitSettings = work.settings
    if not settings.ablate:
        return []
    try:
        return _ablate(work, settings)
    except (CaptureError, ModelError, SpecError) as error:
        work.manifest["ablation"] = {"missing": str(error)}
        work.progress.note(f"nothing is ablated: {error}")
        return []


def first_groups(data: QuestionSet, count: int) -> QuestionSet:
    """Return the first whole groups of a set with at most `count` questions in all, but at least one group.

    The questions for a smaller count are a subset of those for a larger count.
    """
    kept: set[str] = set()
    taken = 0
    for group, size in Counter(question.group for question in data.items).items():
        if kept and taken + size > count:
            break
        kept.add(group)
        taken += size
    return replace(data, items=tuple(question for question in data.items if question.group in kept))


def _ablate(work: Workspace, settings: ExitSettings) -> list[str]:
    plan = _plan(work, settings)
    # At most as many worked examples as fitted the context for the whole set.
    room = {data["name"]: data["shots"] for data in work.manifest["datasets"]}
    shots = {name: min(settings.while_ablating.shots, had) for name, had in room.items()}
    posed_sets = [
        pose(work.model, first_groups(data, settings.ablate_questions), settings.with_shots(shots[data.name]))
        for data in work.material
    ]
    continuations = continuations_of(posed_sets, settings)
    key = hash_of([work.key, [[row.ids, row.start] for row in continuations]])
    forward = make_pass(work.model, continuations, work.spec.capture.batch_tokens)
    files = {_file(key, ablation): ablation for ablation in (None, *plan)}
    _run_missing(work, forward, posed_sets, files, key)
    work.manifest["ablation"] = {
        "key": key,
        "ablations": len(plan),
        "tokens": forward.tokens,
        "shots": settings.while_ablating.shots,
        "questions": {posed.data.name: len(posed.data.items) for posed in posed_sets},
    }
    return list(files)


def _plan(work: Workspace, settings: ExitSettings) -> list[Ablation]:
    """Return the run's ablations; raises ModelError for a model that cannot be edited, before asking any question."""
    from layeratlas.models import intervene

    anatomy, layers = work.model.anatomy, work.model.anatomy.n_layers
    spans = {name: span for name, span in thirds(layers).items() if span[0] < span[1]}
    planned = plan_ablations(layers, spans, seed=work.spec.seed, kinds=_KINDS[settings.ablate_to])
    absent = {(component, layer) for component in SUBLAYERS for layer in anatomy.without(component)}
    plan = [ablation for ablation in planned if (ablation.component, ablation.start) not in absent]
    with intervene(work.model, [ablation.edit() for ablation in plan if ablation.kind != "mean"]):
        return plan


def _file(key: str, ablation: Ablation | None) -> str:
    """Return the file name for an ablation, or for the whole model."""
    return f"{FOLDER}/{hash_of([key, asdict(ablation) if ablation else 'whole'])}.safetensors"


def _run_missing(
    work: Workspace,
    forward: Pass,
    posed_sets: Sequence[PosedSet],
    files: dict[str, Ablation | None],
    key: str,
) -> None:
    """Write the files that are missing or damaged, one pass each."""
    missing = {name: ablation for name, ablation in files.items() if read_shard(work.folder / name, key) is None}
    work.progress.note(
        f"ablations: {len(missing)} of {len(files)} passes (the whole model, and {len(files) - 1} ablations) of "
        f"{forward.tokens:,} tokens, {len(missing) * forward.tokens:,} in all"
    )
    needs_means = any(ablation and ablation.kind == "mean" for ablation in missing.values())
    means = mean_outputs(work.model, posed_sets) if needs_means else {}
    with work.progress.stage("ablate", len(missing) * forward.tokens) as step:
        for name, ablation in missing.items():
            values = forward([ablation.edit(means.get(ablation.component))] if ablation else [])
            write_shard(work.folder / name, key, {_VALUES: values}, asdict(ablation) if ablation else None)
            step.advance(forward.tokens)


@dataclass(frozen=True, kw_only=True)
class Ablated:
    """The ablations of a run, and `log_likelihoods` (1 + ablations, continuations) in nats, the whole model's first."""

    plan: list[Ablation]
    log_likelihoods: Floats


def load_ablated(work: Workspace) -> Ablated | None:
    """Return the stage's results; None if nothing was ablated.

    Raises StoreError for a damaged file or one written for other questions.
    """
    record: dict[str, Any] = work.manifest.get("ablation", {})
    if "key" not in record or not work.settings.ablate:
        return None
    plan, values = [], []
    for name in work.manifest["stages"]["ablate"]["outputs"]:
        tensors, described = load_shard(work.folder / name, record["key"])
        plan += [Ablation.from_record(described)] if described else []
        values.append(tensors[_VALUES])
    return Ablated(plan=plan, log_likelihoods=np.stack(values))
