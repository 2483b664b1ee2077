"""run(spec): the stages of a study in order, skipping what an earlier process has finished."""

from __future__ import annotations

import re
from pathlib import Path

from layeratlas import registry
from layeratlas.contracts import Study
from layeratlas.errors import DataError, SpecError
from layeratlas.progress import Progress
from layeratlas.records import Dataset
from layeratlas.spec import ModelSpec, RunSpec
from layeratlas.tasks._table import read_table
from layeratlas.workspace import Workspace


def make_datasets(spec: RunSpec) -> list[Dataset]:
    """Return the data sets of a run: the tasks named, else the user's files, else the study's own tasks."""
    study: Study = registry.get("studies", spec.study)
    names = spec.tasks or (() if spec.data else study.tasks)
    datasets = [data for name in names for data in registry.get("tasks", name).build(spec.size)]
    datasets += [read_table(path) for path in spec.data]
    seen: set[str] = set()
    for data in datasets:
        if data.name in seen:
            raise DataError(f"two data sets are named '{data.name}'", "a name once", "rename a file")
        seen.add(data.name)
    return datasets


def default_folder(spec: RunSpec) -> Path:
    """Return `runs/<study>-<model>-<size>`, and the tasks and files where they are not the study's own."""
    chosen = [*spec.tasks, *(Path(path).stem for path in spec.data)]
    return Path("runs") / "-".join([spec.study, _slug(_model_name(spec.model)), spec.size, *map(_slug, chosen)])


def _model_name(model: ModelSpec) -> str:
    return Path(model.id).stem if model.id.endswith(".gguf") else "-".join(Path(model.id).parts[-2:])


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower() or "own"


def execute(spec: RunSpec, out: Path | None = None, progress: Progress | None = None) -> Path:
    """Run a spec to its report and return the run's folder; a second call resumes or finds all done."""
    study: Study = registry.get("studies", spec.study)
    probes = {name: registry.get("probes", name) for name in spec.probe.methods}
    datasets = make_datasets(spec)
    for data in datasets:
        if data.kind == "number" and not any(probe.numbers for probe in probes.values()):
            raise SpecError(
                f"{data.source or data.name} has numbers to predict, which {' and '.join(probes)} cannot",
                "a probe for numbers",
                "add --probe ridge",
            )
    work = Workspace(out or default_folder(spec), spec, datasets, progress or Progress())
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
