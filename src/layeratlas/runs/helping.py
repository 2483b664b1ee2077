"""Help with a run that belongs to another process: compute free parts of the stage that it has posted."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json
from layeratlas.core.own_folders import make_own_folder, remove_abandoned
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.pipeline import prepare
from layeratlas.runs.splitting import Desk, HelpingTurns, NothingLeftError, Order
from layeratlas.runs.study import Study

# The beginning of the names of the folders in which helpers copy a run's small files.
_COPY = "layeratlas-helper-"


def help_with(study: Study, spec: RunSpec, folder: Path, desk: Desk, order: Order, models: KeptModel) -> list[str]:
    """Run the stage of an order as the owner of the run in `folder` does, but compute free parts only; return these.

    The helper works in a copy of the run's small files, so that it writes nothing but parts in the run's own folder.
    Raises AtlasError if the run cannot be read or has other texts, settings or versions.
    """
    turns = HelpingTurns(desk, order)
    scratch = make_own_folder(Path(tempfile.gettempdir()), _COPY)
    try:
        _copy(folder, scratch)
        key = read_json(scratch / "run.json").get("key")
        ready = prepare(study, spec)
        work = ready.open(scratch, Progress())
        if work.key != key:
            raise StoreError(f"'{folder}' holds a run of other texts, settings or versions", "those of this process")
        ready.begin(work)
        work.common, work.turns, work.models = folder, turns, models
        with contextlib.suppress(NothingLeftError):
            study.stages()[order.stage](work)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return turns.computed


def remove_left_copies() -> None:
    """Remove the copies of runs, with their texts, that helpers on this machine left when they were killed."""
    remove_abandoned(Path(tempfile.gettempdir()), _COPY)


def _copy(folder: Path, scratch: Path) -> None:
    """Copy `run.json` and the outputs of finished stages; raises StoreError if there is no run."""
    stages = read_json(folder / "run.json").get("stages", {}).values()
    for name in ["run.json", *(output for stage in stages if stage.get("done") for output in stage["outputs"])]:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, scratch / name)
