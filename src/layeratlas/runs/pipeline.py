"""run(spec): the stages of a study in order, skipping what an earlier process has finished."""

from __future__ import annotations

import re
from pathlib import Path

from layeratlas.core import registry
from layeratlas.core.errors import DataError, SpecError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec, RunSpec
from layeratlas.data.task import Material
from layeratlas.runs.study import Study
from layeratlas.runs.uses import check_uses
from layeratlas.runs.workspace import Workspace


def make_material(study: Study, spec: RunSpec) -> list[Material]:
    """Return what a run reads: the tasks named, else the user's files, else the study's own tasks."""
    names = spec.tasks or (() if spec.data else study.tasks)
    material: list[Material] = []
    for name in names:
        built = registry.get("tasks", name).build(spec.size)
        if not all(isinstance(one, study.reads) for one in built):
            raise SpecError(
                f"the task '{name}' is not for the study '{spec.study}'", f"one of {', '.join(study.tasks)}"
            )
        material += built
    material += [study.read(path) for path in spec.data]
    seen: set[str] = set()
    for one in material:
        if one.name in seen:
            raise DataError(f"two data sets are named '{one.name}'", "a name once", "rename a file")
        seen.add(one.name)
    return material


def words_of(study: Study, spec: RunSpec) -> dict[str, dict[str, str]]:
    """Return what the run's report calls levels, methods and metrics, in reading order: the codes with their words."""
    asked = spec.tasks or study.tasks
    ordered = sorted(asked, key=lambda name: study.tasks.index(name) if name in study.tasks else len(study.tasks))
    levels: dict[str, str] = {}
    for name in ordered:
        levels |= registry.get("tasks", name).levels
    return {"levels": levels, "methods": dict(study.method_names), "metrics": dict(study.metric_names)}


def default_folder(spec: RunSpec) -> Path:
    """Return `runs/<study>-<model>-<size>`, and the tasks and files where they are not the study's own."""
    chosen = [*spec.tasks, *(Path(path).stem for path in spec.data)]
    return Path("runs") / "-".join([spec.study, _slug(_model_name(spec.model)), spec.size, *map(_slug, chosen)])


def _model_name(model: ModelSpec) -> str:
    return Path(model.id).stem if model.id.endswith(".gguf") else "-".join(Path(model.id).parts[-2:])


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower() or "own"


def execute(study: Study, spec: RunSpec, out: Path | None = None, progress: Progress | None = None) -> Path:
    """Run a spec to its report and return the run's folder; a second call resumes or finds all done."""
    settings = study.settings(**spec.settings)
    check_uses(spec, study.uses, study.probe_spec(spec.size))
    spec = study.prepare(spec, settings)
    material = make_material(study, spec)
    study.check(spec, settings, material)
    work = Workspace(out or default_folder(spec), spec, material, progress or Progress(), settings)
    work.manifest["words"] = words_of(study, spec)
    work.manifest["defaults"] = {"probe": study.probe_spec(spec.size).model_dump(mode="json")}
    again = False  # what follows a stage that had to be done is done again, from the parts that are still sound
    for name, stage in study.stages().items():
        if not again and work.finished(name):
            continue
        again = True
        work.manifest["status"] = "running"
        with work.timed(name):
            outputs = stage(work)
        work.finish(name, outputs)
    if work.manifest["status"] != "complete":
        work.manifest["status"] = "complete"
        work.save()
    return work.folder
