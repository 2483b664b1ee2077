"""The units of a sweep; each is an ordinary run in a separate folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, NamedTuple, get_type_hints

from layeratlas.api.options import Options
from layeratlas.api.specs import check_used, make_spec
from layeratlas.core import registry
from layeratlas.core.errors import SpecError, at_fault, unknown_name
from layeratlas.core.spec import RunSpec
from layeratlas.runs.pipeline import default_folder
from layeratlas.sweeps.faults import blaming
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
        for variant in _variants_of(study, sweep)
        for unit in _seeded(sweep, _Combination(model, revision, study, tasks, variant))
    ]
    names = [unit.name for unit in units]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        with at_fault(*_repeated(sweep)):
            raise SpecError(
                f"the sweep has the run '{twice}' twice", "every run once", "remove a repeated list element"
            )
    return units


class _Combination(NamedTuple):
    """One element of every list of a sweep but the seeds; `variant` is the number of one."""

    model: str
    revision: str | None
    study: str
    tasks: tuple[str, ...]
    variant: int | None


def _seeded(sweep: SweepSpec, one: _Combination) -> Iterator[Unit]:
    variant = None if one.variant is None else sweep.variants[one.variant]
    given: dict[str, Any] = {"options": sweep.options, "settings": {one.study: sweep.settings.get(one.study, {})}}
    if variant is not None:
        given["variants"] = {one.variant: {"options": variant.options, "settings": variant.settings}}
    for number, seed in enumerate(sweep.seeds):
        spec = blaming(partial(_spec_of, sweep, one), {**given, "seeds": {number: seed}})
        parts = [variant.name if variant else "", f"seed{seed}" if len(sweep.seeds) > 1 else ""]
        ends = "".join(f"-{part}" for part in parts if part)
        group = f"{one.study}-{sweep.size}{'-' if one.tasks else ''}{'+'.join(one.tasks)}{ends}"
        name = f"{default_folder(spec).name}{ends}-{spec.content_hash()[:8]}"
        yield Unit(name=name, group=TOGETHER if sweep.together else group, spec=spec)


def _spec_of(sweep: SweepSpec, one: _Combination, given: Mapping[str, Any]) -> RunSpec:
    """Return the spec of a run from the tables of the sweep; `given` holds each under its keys in the file."""
    varied = given.get("variants", {}).get(one.variant, {})
    own = set(registry.get("studies", one.study).settings.model_fields)
    settings = {name: value for name, value in varied.get("settings", {}).items() if name in own}
    options = {**given.get("options", {}), **varied.get("options", {})}
    options["settings"] = {**given.get("settings", {}).get(one.study, {}), **settings}
    options |= {"seed": next(iter(given.get("seeds", {}).values()), None)}
    options |= {"revision": one.revision, "tasks": one.tasks or None}
    return make_spec(one.study, one.model, sweep.size, options, sweep.studies)


def _repeated(sweep: SweepSpec) -> tuple[str | int, ...]:
    """Return the keys of an element that a list of the sweep holds twice; two lists of tasks may also overlap."""
    for field in ("models", "revisions", "studies", "seeds"):
        values = getattr(sweep, field)
        again = next((number for number, value in enumerate(values) if value in values[:number]), None)
        if again is not None:
            return field, again
    return ("tasks",)


def _variants_of(study: str, sweep: SweepSpec) -> Sequence[int | None]:
    """Return the numbers of the variants for a study; one for which there are none is run as it is."""
    return [n for n, variant in enumerate(sweep.variants) if study in (variant.studies or sweep.studies)] or [None]


def _tasks_of(study: str, sweep: SweepSpec) -> list[tuple[str, ...]]:
    """Return the sets of tasks that a study runs: the sweep's tasks that belong to it (empty: its defaults)."""
    if not sweep.tasks:
        return [()]
    reads = registry.get("studies", study).reads
    own = [tuple(task for task in tasks if _reads(task, reads, sweep)) for tasks in map(_named, sweep.tasks)]
    if not any(own):
        with at_fault("tasks"):
            raise SpecError(
                f"no task of the sweep is for the study '{study}'", "a task of each study, or no tasks at all"
            )
    return [tasks for tasks in own if tasks]


def _named(tasks: str | tuple[str, ...]) -> tuple[str, ...]:
    return (tasks,) if isinstance(tasks, str) else tasks


def _reads(task: str, kind: type, sweep: SweepSpec) -> bool:
    return all(isinstance(data, kind) for data in registry.get("tasks", task).build(sweep.size))


def _check(sweep: SweepSpec) -> None:
    for number, study in enumerate(sweep.studies):
        with at_fault("studies", number):
            registry.get("studies", study)
    _check_options(sweep.options, ())
    for study in sweep.settings:
        _check_run(study, sweep, ("settings", study))
    kinds = [registry.get("studies", study).reads for study in sweep.studies]
    for number, tasks in enumerate(sweep.tasks):
        for place, task in enumerate(_named(tasks)):
            with at_fault("tasks", number):
                if not any(_reads(task, kind, sweep) for kind in kinds):
                    raise SpecError(f"the task '{task}' is of no study of the sweep", "tasks of its studies")
                if task in _named(tasks)[:place]:
                    raise SpecError(f"one run has the task '{task}' twice", "every task once")
    names = [variant.name.casefold() for variant in sweep.variants]  # they name folders, on any system
    for number, variant in enumerate(sweep.variants):
        if names[number] in names[:number]:
            with at_fault("variants", number, "name"):
                raise SpecError(f"the sweep has the variant '{variant.name}' twice", "a name for each")
        for place, study in enumerate(variant.studies):
            _check_run(study, sweep, ("variants", number, "studies", place))
        _check_options(variant.options, ("variants", number))
        with at_fault("variants", number):
            _check_variant(variant, variant.studies or sweep.studies)


def _check_run(study: str, sweep: SweepSpec, at: tuple[str | int, ...]) -> None:
    """Raise SpecError unless the sweep runs a study for which something is set."""
    if study not in sweep.studies:
        with at_fault(*at):
            registry.get("studies", study)
            raise SpecError(f"the sweep sets something for '{study}'", f"one of {', '.join(sweep.studies)}")


def _check_variant(variant: Variant, studies: Sequence[str]) -> None:
    """Raise SpecError for a setting or an option of a variant that none of its studies has."""
    known = {name for study in studies for name in registry.get("studies", study).settings.model_fields}
    unknown = sorted(variant.settings.keys() - known)
    if unknown:
        of = ", ".join(studies)
        found = f"the variant '{variant.name}' sets '{unknown[0]}', which is no setting of {of}"
        with at_fault("settings", unknown[0]):
            raise SpecError(found, f"one of {', '.join(sorted(known))}")
    try:
        blaming(lambda given: check_used(given.get("options", {}), studies), {"options": variant.options})
    except SpecError as error:
        with at_fault(*error.at):
            raise SpecError(f"the variant '{variant.name}': {error.problem}", error.expected, error.todo) from None


def _check_options(options: Mapping[str, Any], at: tuple[str | int, ...]) -> None:
    known = sorted(get_type_hints(Options).keys() - _SET_ELSEWHERE)
    for name in options:
        with at_fault(*at, "options", name):
            if name in _SET_ELSEWHERE:
                raise SpecError(f"the sweep's options hold '{name}'", "options that no list or table of the sweep sets")
            if name not in known:
                raise unknown_name("option", name, known)
