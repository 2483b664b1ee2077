"""The units of a sweep; each is an ordinary run in a separate folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_type_hints

from layeratlas.api.options import Options
from layeratlas.api.specs import check_used, make_spec
from layeratlas.core import registry
from layeratlas.core.errors import SpecError, unknown_name
from layeratlas.core.spec import RunSpec
from layeratlas.runs.pipeline import default_folder
from layeratlas.sweeps.spec import SweepSpec, Variant

# The group of runs that share a page.
TOGETHER = "all"
# What the sweep itself sets: its fields, and the folder and progress of its runs.
_SET_ELSEWHERE = frozenset({"settings", "seed", "tasks", "revision", "model", "size", "out", "progress"})


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One run of a sweep: its spec, its name (also that of its folder), and its group.

    Runs of a group differ only in model or revision, so they can be compared.
    """

    name: str
    group: str
    spec: RunSpec


def units_of(sweep: SweepSpec) -> list[Unit]:
    """Return every run of a sweep, grouped by model.

    Raises SpecError for an unknown study, task, option or setting, for a task that belongs to none of the named
    studies, for a study without any of the named tasks, for settings of a study that the sweep does not run, and for
    variants with equal names.
    """
    _check(sweep)
    units = [
        unit
        for model, revision in product(sweep.models, sweep.revisions or (None,))
        for study in sweep.studies
        for tasks in _tasks_of(study, sweep)
        for variant in sweep.variants or (None,)
        if variant is None or study in (variant.studies or sweep.studies)
        for unit in _seeded(sweep, study, model, revision, tasks, variant)
    ]
    names = [unit.name for unit in units]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(f"the sweep has the run '{twice}' twice", "every run once", "remove a repeated list element")
    return units


def _seeded(
    sweep: SweepSpec, study: str, model: str, revision: str | None, tasks: tuple[str, ...], variant: Variant | None
) -> Iterator[Unit]:
    own = set(registry.get("studies", study).settings.model_fields)
    varied = {name: value for name, value in (variant.settings if variant else {}).items() if name in own}
    settings = {**sweep.settings.get(study, {}), **varied}
    for seed in sweep.seeds:
        options = {**sweep.options, **(variant.options if variant else {}), "settings": settings, "seed": seed}
        options |= {"revision": revision, "tasks": tasks or None}
        spec = make_spec(study, model, sweep.size, options, sweep.studies)
        parts = [variant.name if variant else "", f"seed{seed}" if len(sweep.seeds) > 1 else ""]
        ends = "".join(f"-{part}" for part in parts if part)
        group = f"{study}-{sweep.size}{''.join(f'-{task}' for task in tasks)}{ends}"
        name = f"{default_folder(spec).name}{ends}-{spec.content_hash()[:8]}"
        yield Unit(name=name, group=TOGETHER if sweep.together else group, spec=spec)


def _tasks_of(study: str, sweep: SweepSpec) -> list[tuple[str, ...]]:
    """Return the sets of tasks that a study runs: the sweep's tasks that belong to it (empty: its defaults)."""
    if not sweep.tasks:
        return [()]
    reads = registry.get("studies", study).reads
    wanted = [(tasks,) if isinstance(tasks, str) else tasks for tasks in sweep.tasks]
    own = [tuple(task for task in tasks if _reads(task, reads, sweep)) for tasks in wanted]
    if not any(own):
        raise SpecError(f"no task of the sweep is for the study '{study}'", "a task of each study, or no tasks at all")
    return [tasks for tasks in own if tasks]


def _reads(task: str, kind: type, sweep: SweepSpec) -> bool:
    return all(isinstance(data, kind) for data in registry.get("tasks", task).build(sweep.size))


def _check(sweep: SweepSpec) -> None:
    _check_options(sweep)
    for study in {*sweep.settings, *(study for variant in sweep.variants for study in variant.studies)}:
        if study not in sweep.studies:
            raise SpecError(f"the sweep sets something for '{study}'", f"one of {', '.join(sweep.studies)}")
    kinds = [registry.get("studies", study).reads for study in sweep.studies]
    for task in {name for names in sweep.tasks for name in ((names,) if isinstance(names, str) else names)}:
        if not any(_reads(task, kind, sweep) for kind in kinds):
            raise SpecError(f"the task '{task}' is of no study of the sweep", "tasks of its studies")
    for variant in sweep.variants:
        _check_variant(variant, variant.studies or sweep.studies)


def _check_variant(variant: Variant, studies: Sequence[str]) -> None:
    """Raise SpecError for a setting or an option of a variant that none of its studies has."""
    known = {name for study in studies for name in registry.get("studies", study).settings.model_fields}
    unknown = sorted(variant.settings.keys() - known)
    if unknown:
        of = ", ".join(studies)
        found = f"the variant '{variant.name}' sets '{unknown[0]}', which is no setting of {of}"
        raise SpecError(found, f"one of {', '.join(sorted(known))}")
    try:
        check_used(variant.options, studies)
    except SpecError as error:
        raise SpecError(f"the variant '{variant.name}': {error.problem}", error.expected, error.todo) from None


def _check_options(sweep: SweepSpec) -> None:
    known = sorted(get_type_hints(Options).keys() - _SET_ELSEWHERE)
    for name in (*sweep.options, *(name for variant in sweep.variants for name in variant.options)):
        if name in _SET_ELSEWHERE:
            raise SpecError(f"the sweep's options hold '{name}'", "options that no list or table of the sweep sets")
        if name not in known:
            raise unknown_name("option", name, known)
