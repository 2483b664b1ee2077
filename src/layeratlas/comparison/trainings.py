"""Trainings that go by one name: two folders called `ladder`, each with its own checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath

from layeratlas.core.steps import checkpoint_in
from layeratlas.runs.finished import FinishedRun


def told_apart(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs; those of trainings with one name have the folder in which the two differ in their series.

    A series is of several trainings if a study has models at one step of it that lie in different folders: a
    checkpoint beside its quantised form is of one training.
    """
    places: dict[tuple[str, str, int], set[tuple[str, ...]]] = defaultdict(set)
    for run in runs:
        if run.checkpoint is not None and run.checkpoint.series:
            places[run.study, *run.checkpoint].add(_place(run))
    shared = {series for (_, series, _), several in places.items() if len(several) > 1}
    return [_labelled(run, runs) if run.checkpoint and run.checkpoint.series in shared else run for run in runs]


def _labelled(run: FinishedRun, runs: Sequence[FinishedRun]) -> FinishedRun:
    series = run.checkpoint.series if run.checkpoint else ""
    labels = _labels({_place(other) for other in runs if other.checkpoint and other.checkpoint.series == series})
    return run.in_series(f"{series} ({labels[_place(run)]})")


def _place(run: FinishedRun) -> tuple[str, ...]:
    """Return the parts of the path of a checkpoint's training: those above the one that names the step."""
    model = run.manifest["model"]
    parts = PurePath(str(model.get("id") or "")).parts
    named = str(model.get("step_name") or "").lower()  # by --step
    steps = [number for number, part in enumerate(parts) if checkpoint_in(part) or (named and named in part.lower())]
    return parts[: steps[-1]] if steps else parts


def _labels(places: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Return for each training the last part of its path that no other has at that place, or else the whole path."""
    for back in range(1, min(map(len, places)) + 1):
        ends = {place: place[-back] for place in places}
        if len(set(ends.values())) == len(places):
            return ends
    return {place: str(PurePath(*place)) for place in places}
