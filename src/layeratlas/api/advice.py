"""Finds the requested recommendation of a run."""

from __future__ import annotations

from layeratlas.core import registry
from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.runs.finished import FinishedRun
from layeratlas.runs.recommendation import USES, Purpose, Recommendation


def find_recommendation(run: FinishedRun, name: str, purpose: str, component: str) -> Recommendation:
    """Return the recommendation for a level or task; raises SpecError if the run does not have it."""
    if purpose not in set(Purpose):
        raise unknown_name("purpose", purpose, Purpose)
    purpose = Purpose(purpose)
    of_purpose = [row for row in run.recommendations if row.purpose == purpose]
    if not of_purpose:
        raise SpecError(
            f"a run of {run.study} does not say which layer to {USES[purpose]}", "", _asks_for(run, purpose)
        )
    inside = [row for row in of_purpose if row.component == component]
    if not inside:
        raise unknown_name("component", component, dict.fromkeys(row.component for row in of_purpose))
    alone = _single_tasks(run)
    named = [row for row in inside if name in (row.subject, alone.get(row.subject))]
    if not named:
        raise unknown_name("level or task", name, dict.fromkeys(row.subject for row in inside))
    return named[0]


def recommended_layer(run: FinishedRun, task: str, component: str, first: int = 0) -> int:
    """Return the point to take a task's direction from (for sublayers, the layer to probe).

    If that is before `first`, where the direction could not be used, it is the earliest of those from there on that are
    as good. Raises SpecError if none is recommended.
    """
    purpose = Purpose.DIRECTION if component == "resid" else Purpose.PROBE
    row = find_recommendation(run, task, purpose, component)
    if row.layer is None:
        raise SpecError(f"no layer is recommended for '{task}': {row.reason}", "", "name a layer to use it anyway")
    return row.layer if row.layer >= first else next((layer for layer in row.as_good if layer >= first), row.layer)


def only_task(run: FinishedRun) -> str:
    """Return the task of a run that has one; raises SpecError, with their names, if it has several."""
    names = [data["name"] for data in run.manifest["datasets"]]
    if len(names) != 1:
        raise SpecError(f"'{run.folder}' has {len(names)} tasks", f"one of {', '.join(names)}", "name it with --task")
    return str(names[0])


def _asks_for(run: FinishedRun, purpose: Purpose) -> str:
    """Return the studies that answer a purpose; for steering also the untested purpose that the run has instead."""
    names = [name for name in registry.names("studies") if purpose in registry.get("studies", name).purposes]
    advice = f"run one of {', '.join(names)}" if names else "no study here recommends one"
    untested = purpose == Purpose.STEER and any(row.purpose == Purpose.DIRECTION for row in run.recommendations)
    return f"{advice}, or ask for the purpose 'direction'" if untested else advice


def _single_tasks(run: FinishedRun) -> dict[str, str]:
    """Return the task of each level with a single task, whose curve is also the level's."""
    tasks: dict[str, list[str]] = {}
    for data in run.manifest["datasets"]:
        tasks.setdefault(data["level"], []).append(data["name"])
    return {level: names[0] for level, names in tasks.items() if len(names) == 1}
