"""Trainings that go by one name: two folders called `ladder`, each with its own checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from layeratlas.core.errors import SpecError
from layeratlas.core.steps import checkpoint_in
from layeratlas.runs.comparable import identity_of
from layeratlas.runs.finished import FinishedRun


def told_apart(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs; those of trainings with one name have the folder in which the two differ in their series.

    A series is of several trainings if a study has two models at one step of it. Raises SpecError if their paths do
    not tell the trainings apart either.
    """
    models: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for run in runs:
        if run.checkpoint is not None and run.checkpoint.series:
            models[run.study, *run.checkpoint].add(identity_of(run))
    shared = {series for (_, series, _), several in models.items() if len(several) > 1}
    renamed = {id(run): run for run in runs}
    for series in shared:
        members = [run for run in runs if run.checkpoint is not None and run.checkpoint.series == series]
        labels = _labels(series, {_place(run) for run in members}, members)
        for run in members:
            renamed[id(run)] = run.in_series(f"{series} ({labels[_place(run)]})")
    return [renamed[id(run)] for run in runs]


def _place(run: FinishedRun) -> tuple[str, ...]:
    """Return the parts of the path of a checkpoint's training: those above the one that names the step."""
    parts = PurePath(str(run.manifest["model"].get("id") or "")).parts
    steps = [number for number, part in enumerate(parts) if checkpoint_in(part)]
    return parts[: steps[-1]] if steps else parts


def _labels(series: str, places: set[tuple[str, ...]], members: Sequence[FinishedRun]) -> dict[tuple[str, ...], str]:
    """Return for each training the last part of its path that no other has at that place, or else the whole path."""
    if len(places) < 2:
        names = " and ".join(f"'{run.folder}'" for run in members[:2])
        raise SpecError(
            f"{names} are of different models at one step of '{series}'",
            "one model per step of a training",
            "name the steps of each training by --step, or compare one training at a time",
        )
    for back in range(1, min(map(len, places)) + 1):
        ends = {place: place[-back] for place in places}
        if len(set(ends.values())) == len(places):
            return ends
    return {place: "/".join(place) for place in places}
