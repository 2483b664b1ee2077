"""How far runs are: what is done, what is computed now with its time left, first results, and what is to come."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from layeratlas.api.places import place_of
from layeratlas.core import registry
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.formatting import duration
from layeratlas.report.index import run_folders, stopped
from layeratlas.runs.kept_progress import PROGRESS, moment_of
from layeratlas.runs.manifest import MANIFEST, read_manifest
from layeratlas.runs.place import Place

_MOST_PREVIEWS = 12


def status(folder: str | Path) -> str:
    """Return the status of a run, or of every run below a folder or address, such as an atlas or a sweep.

    Raises StoreError if there is no run.
    """
    place = place_of(folder, apart=True)
    try:
        place.gather(MANIFEST, PROGRESS)
        runs = [run for run in run_folders(place.folder) if (run / MANIFEST).exists()]
        if not runs:
            raise StoreError(f"'{folder}' has no run", "the folder of a run, or one above", "check the path")
        return "\n".join(line for run in runs for line in _lines(place, run))
    finally:
        place.leave()


def _lines(place: Place, folder: Path) -> Iterator[str]:
    """Yield the lines of one run; one in a bucket has its address, and not the folder of the copy that is read."""
    name = "" if folder == place.folder else folder.relative_to(place.folder).as_posix()
    shown = str(folder) if place.shared else f"{place.address}/{name}".rstrip("/")
    try:
        manifest = read_manifest(folder)
    except StoreError as error:
        yield str(error).replace(str(folder), shown)
        return
    spec, held = manifest["spec"], place.holder(name)
    title = f"{shown}: {spec['study']} of {spec['model']['id']}, {spec['size']}"
    if manifest.get("status") == "complete" and held is None:
        seconds = sum(stage.get("seconds", 0.0) for stage in manifest.get("stages", {}).values())
        yield f"{title}: done in {duration(seconds)}"
        return
    by = f"running in process {held.get('pid', '?')} on {held.get('host', '?')}" if held is not None else ""
    stages = manifest.get("stages", {})
    yield f"{title}: {by or stopped(stages)}"
    moment = moment_of(folder, held)
    for stage, words in _stages(spec["study"], stages).items():
        yield f"  {stage:<16} {words or (moment.words if held is not None else 'not finished')}".rstrip()
    if moment.previews:
        yield "  first curves:"
        yield from (f"    {line}" for line in moment.previews[-_MOST_PREVIEWS:])


def _done(stage: Mapping[str, Any]) -> str:
    """Return in words how long a stage took; one that this run does not have ends at once and writes nothing."""
    seconds = stage.get("seconds", 0.0)
    return f"done in {duration(seconds)}" if seconds or stage.get("outputs") else "not in this run"


def _stages(study: str, known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return every stage with its state in words, in order; empty words for the one that is computed now."""
    names = list(known)
    with contextlib.suppress(SpecError):  # the study's package may not be installed here
        names = list(registry.get("studies", study).stages())
    done = list(takewhile(lambda name: known.get(name, {}).get("done"), names))
    words = {name: _done(known[name]) for name in done}
    return words | {name: "to come" if place else "" for place, name in enumerate(names[len(done) :])}
