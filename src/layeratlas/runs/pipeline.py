"""Run a spec: execute the stages of its study in order, and skip those that an earlier process has finished."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core import registry
from layeratlas.core.errors import AtlasError, DataError, SpecError, StoreError
from layeratlas.core.fields import alternatives
from layeratlas.core.progress import Progress
from layeratlas.core.spec import ModelSpec, RunSpec, hash_of
from layeratlas.core.turns import ALONE, Turns
from layeratlas.data.task import Material, Task
from layeratlas.runs.fitting import record_dropped
from layeratlas.runs.identity import key_of
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.kept_progress import KeptProgress
from layeratlas.runs.lock import locked
from layeratlas.runs.study import Study
from layeratlas.runs.uses import check_uses
from layeratlas.runs.workspace import Workspace

# The most characters of each component of a folder's name; file systems allow 255 bytes in all.
_LONGEST = 80


def make_material(study: Study, spec: RunSpec) -> list[Material]:
    """Return what a run reads: the named tasks and the user's files; if there are none, the study's own tasks.

    Raises SpecError for a task of another study, DataError if two data sets have the same name.
    """
    names = spec.tasks or (() if spec.data else study.tasks)
    material: list[Material] = []
    for name in names:
        built = registry.get("tasks", name).build(spec.size)
        if not all(isinstance(dataset, study.reads) for dataset in built):
            raise SpecError(
                f"the task '{name}' is not for the study '{spec.study}'",
                alternatives(list(study.tasks)),
                "'layeratlas list tasks' names the study of each",
            )
        material += built
    material += [study.read(path, spec) for path in spec.data]
    counts = Counter(dataset.name for dataset in material)
    repeated = next((name for name, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise DataError(f"two data sets are named '{repeated}'", "a different name for each", "rename a file")
    return material


def readers(studies: Mapping[str, Study]) -> Iterator[tuple[str, Task, dict[str, bool]]]:
    """Yield every task with its name and which of the studies read it, and whether it is one of their own.

    A task that is no study's own is built, at its smallest size, to see what it is.
    """
    for name in registry.names("tasks"):
        task: Task = registry.get("tasks", name)
        own = {study: True for study, plugin in studies.items() if name in plugin.tasks}
        built = [] if own else task.build("quick")
        yield (
            name,
            task,
            own
            or {
                study: False
                for study, plugin in studies.items()
                if all(isinstance(data, plugin.reads) for data in built)
            },
        )


def words_of(study: Study, spec: RunSpec) -> dict[str, dict[str, str]]:
    """Return the words for the codes of levels, methods and metrics, each in reading order.

    Levels are in the order of the study's own tasks, then of further tasks as named.
    """
    known = [name for name in study.tasks if name in spec.tasks] if spec.tasks else list(study.tasks)
    further = [name for name in spec.tasks if name not in study.tasks]
    levels: dict[str, str] = {}
    for name in (*known, *further):
        levels |= registry.get("tasks", name).levels
    return {"levels": levels, "methods": dict(study.method_names), "metrics": dict(study.metric_names)}


def default_folder(spec: RunSpec) -> Path:
    """Return `runs/STUDY-MODEL-SIZE`, followed by the tasks and files that were named."""
    chosen = [*spec.tasks, *(Path(path).stem for path in spec.data)]
    of_texts = _slug("-".join(map(_slug, chosen))) if chosen else ""
    return Path("runs") / "-".join(filter(None, [spec.study, _slug(_model_name(spec.model)), spec.size, of_texts]))


def _model_name(model: ModelSpec) -> str:
    name = Path(model.id).stem if model.id.endswith(".gguf") else "-".join(Path(model.id).parts[-2:])
    return f"{name}-{model.revision}" if model.revision else name


def _both(spec: RunSpec) -> str:
    """Return in one line that built-in tasks and files are read together."""
    files = ", ".join(Path(path).name for path in spec.data)
    return f"reads both: built-in {', '.join(spec.tasks)}, and {files}"


def _slug(name: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.").lower() or "own"
    return slug if len(slug) <= _LONGEST else f"{slug[: _LONGEST - 9]}-{hash_of(slug)[:8]}"


def execute(
    study: Study,
    spec: RunSpec,
    out: Path | None = None,
    progress: Progress | None = None,
    models: KeptModel | None = None,
    turns: Turns = ALONE,
) -> Path:
    """Run a spec to its report and return the run's folder; a second call resumes it, or finds it complete.

    `models` loads the model and keeps it, for callers that run many specs of one model; they close it. `turns` may let
    other processes compute parts of stages.

    If a stage has to run, all later stages run again too; each reuses its own valid shards. Raises StoreError if
    another process runs in the folder. A run whose input turns out to be unusable before anything is stored leaves no
    folder.
    """
    ready = prepare(study, spec)
    folder = out or default_folder(ready.spec)
    with locked(folder), contextlib.nullcontext(models) if models else KeptModel() as kept:
        shown = KeptProgress(progress or Progress(), folder)
        work = ready.open(folder, shown)
        work.demand_same_model()
        if work.complete:  # found without importing the stages, which takes longer than all else here
            shown.end()
            return folder
        work.models, work.turns = kept, turns
        with _nothing_left_of_bad_input(work, shown):
            ready.begin(work)
            if spec.tasks and spec.data:
                shown.note(_both(spec))
            _run_stages(study, work)
        if work.manifest["status"] != "complete":
            work.manifest["status"] = "complete"
            work.save()
        shown.end()
    return folder


@contextlib.contextmanager
def _nothing_left_of_bad_input(work: Workspace, shown: KeptProgress) -> Iterator[None]:
    """Remove the run if its model, texts or options turn out to be unusable before anything is stored.

    An error of the folder or its disk, an interrupt and an internal error leave the run, which the same command
    resumes.
    """
    try:
        yield
    except StoreError:
        raise
    except AtlasError:
        shown.end()  # first: without run.json, it would make the folder one that holds no run
        work.forget()
        raise


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A spec that is ready to run: with all its settings, the texts that were `read`, and those selected of them."""

    study: Study
    spec: RunSpec
    settings: Any
    read: list[Material]
    material: list[Material]

    @property
    def key(self) -> str:
        """The key that the run has in its folder."""
        return key_of(self.spec, self.material)

    def open(self, folder: Path, progress: Progress) -> Workspace:
        """Return the run's folder, which must be locked."""
        return Workspace(folder, self.spec, self.material, progress, self.settings)

    def begin(self, work: Workspace) -> None:
        """Make the folder what the stages of the study take."""
        work.manifest["words"] = words_of(self.study, self.spec)
        work.manifest["sampled"] = {
            data.name: {"n": len(data), "of": len(whole)}
            for data, whole in zip(self.material, self.read, strict=True)
            if len(data) < len(whole)
        }
        begins = "dropped" not in work.manifest
        record_dropped(work, [data.name for data in work.material] if begins else [])
        work.manifest["defaults"] = {"probe": self.study.probe_spec(self.spec.size).model_dump(mode="json")}


def prepare(study: Study, spec: RunSpec) -> Prepared:
    """Return a spec that is ready to run; raises AtlasError if it cannot be run."""
    settings = study.settings(**spec.settings)
    check_uses(spec, study.uses, study.probe_spec(spec.size))
    spec = settled_spec(study.prepare(spec, settings))
    read = make_material(study, spec)
    material = study.select(spec, settings, read)
    study.check(spec, settings, material)
    return Prepared(study=study, spec=spec, settings=settings, read=read, material=material)


def settled_spec(spec: RunSpec) -> RunSpec:
    """Return the spec with the settings that determine its numbers: the dtype and the chat template's hash.

    Raises ModelError for a chat with a model that is not there or has no template.
    """
    if spec.model.dtype != "auto" and not spec.model.chat:
        return spec
    from layeratlas.models.devices import settled
    from layeratlas.models.unloaded import template_hash

    model = settled(spec.model)
    if model.chat:
        model = model.model_copy(update={"chat_template": template_hash(model)})
    return spec.model_copy(update={"model": model})


def _run_stages(study: Study, work: Workspace) -> None:
    stale = False
    for name, stage in study.stages().items():
        if not stale and work.finished(name):
            continue
        stale = True
        work.manifest["status"] = "running"
        work.turns.begin(name)
        with work.timed(name):
            outputs = stage(work)
        work.finish(name, outputs)
