"""The stage that runs every measured prompt under every edit at every point and writes the logits of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layeratlas.core.arrays import FloatArray, Floats, Ints
from layeratlas.directions.erasing import Eraser, fit_eraser
from layeratlas.runs.workspace import Workspace
from layeratlas.store.shards import load_shard, read_shard, write_shard
from layeratlas.studies.causal.capturing import load_read, points_of
from layeratlas.studies.causal.moving import Plan, moves
from layeratlas.studies.causal.names import effects_file
from layeratlas.studies.causal.posing import Posed, pose_all

_CLEAN, _EDITED, _ROWS = "clean", "edited", "rows"


def edit_stage(work: Workspace) -> list[str]:
    """Write the answers' logits of every set; sets finished by an interrupted run are kept."""
    sets = pose_all(work)
    points = points_of(work.model.anatomy.n_layers, work.settings.points)
    edits = len(_plan(work, sets[0]).edits)
    total = sum(len(_measured(work, posed)) for posed in sets) * len(points) * edits
    with work.progress.stage("edit", total) as step:
        for i, posed in enumerate(sets):
            name = effects_file(posed.data.name)
            if read_shard(work.folder / name, work.key) is None:
                _edit_set(work, sets, i, points)
            step.advance(len(_measured(work, posed)) * len(points) * edits)
    return [effects_file(posed.data.name) for posed in sets]


def load_effects(work: Workspace, name: str) -> tuple[Ints, FloatArray, FloatArray]:
    """Return a set's measured rows (m,), and the logits of its answers, clean (m, k) and edited (m, points, edits, k).

    Raises StoreError for a damaged file or another run's.
    """
    tensors, _ = load_shard(work.folder / effects_file(name), work.key)
    return tensors[_ROWS], tensors[_CLEAN], tensors[_EDITED]


def _plan(work: Workspace, posed: Posed) -> Plan:
    return Plan.of(posed.data.dataset, work.spec.probe, work.settings, work.spec.seed)


def _measured(work: Workspace, posed: Posed) -> Ints:
    return posed.measured(work.settings.measured(work.spec.size))


def _edit_set(work: Workspace, sets: Sequence[Posed], number: int, points: Sequence[int]) -> None:
    """Run one set's prompts under all edits, and write the logits."""
    from layeratlas.capture.branching import Branched, Brancher

    posed = sets[number]
    plan, rows = _plan(work, posed), _measured(work, posed)
    moved = np.stack(
        [moves(x, plan, point, other) for point, x, other in _vectors(work, sets, number, points)]
    )  # (points, edits, n, d)
    at = np.repeat(np.array(points, np.int64), len(plan.edits))
    prompts = [
        Branched(
            ids=posed.ids[row],
            points=at,
            vectors=moved[:, :, row].reshape(len(at), -1).astype(np.float32),
            answers=tuple(posed.answers[row].tolist()),
        )
        for row in rows
    ]
    brancher = Brancher(work.model, prompts, work.spec.capture.batch_tokens)
    work.manifest["branching"] = brancher.how
    logits = np.zeros((len(rows), 1 + len(at), posed.answers.shape[1]), np.float32)
    for i, values in brancher.logits(prompts):
        logits[i] = values
    edited = logits[:, 1:].reshape(len(rows), len(points), len(plan.edits), -1)
    tensors: dict[str, Any] = {_ROWS: rows, _CLEAN: logits[:, 0], _EDITED: edited}
    write_shard(work.folder / effects_file(posed.data.name), work.key, tensors)


def _vectors(
    work: Workspace, sets: Sequence[Posed], number: int, points: Sequence[int]
) -> Sequence[tuple[int, Floats, Eraser | None]]:
    """Return each point with the set's vectors there and the eraser of the next set of another level."""
    own = sets[number]
    after = [*sets[number + 1 :], *sets[:number]]
    other = next((s for s in after if s.data.level != own.data.level), next(iter(after), None))
    x = load_read(work, own.data.name).vectors.astype(np.float64)
    if other is None:
        return [(point, x[i], None) for i, point in enumerate(points)]
    theirs = load_read(work, other.data.name).vectors.astype(np.float64)
    return [(point, x[i], fit_eraser(theirs[i], other.codes)) for i, point in enumerate(points)]
