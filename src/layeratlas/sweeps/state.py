"""The state of a unit, read from the sweep's folder: waiting, running, done or failed.

`runs/NAME/` is the run. `units/NAME/` holds its lease, a lock with a heartbeat held by one worker at a time, and
`state.json` with the number of attempts and the outcome, which only the holder of the lease writes. While other workers
may help with a stage, `order.json` names its parts and `parts/` holds the lease of each.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from layeratlas.core import registry
from layeratlas.core.checksums import is_sealed, read_sealed, write_sealed
from layeratlas.core.errors import AtlasError, StoreError
from layeratlas.core.files import read_object
from layeratlas.core.spec import RunSpec, hash_of
from layeratlas.runs.identity import versions
from layeratlas.runs.kept_progress import PROGRESS, moment_of
from layeratlas.runs.lock import LOCK, InUseError
from layeratlas.runs.manifest import MANIFEST
from layeratlas.runs.pipeline import prepare, settled_spec
from layeratlas.runs.place import Place
from layeratlas.runs.splitting import Desk
from layeratlas.sweeps.units import Unit

# If three workers in a row were killed before any of them finished a part, the unit is probably the cause.
ATTEMPTS = 3
# The folder of the runs, below that of the sweep.
RUNS = "runs"


class Standing(StrEnum):
    """The state of a unit."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


# The states that no worker changes.
SETTLED = (Standing.DONE, Standing.FAILED)


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """A unit's state, its worker, its error, its current stage with what is left of it, and the seconds taken.

    `attempts` are those that were not stopped; `begun` counts those too.
    """

    standing: Standing
    attempts: int = 0
    begun: int = 0
    reason: str = ""
    stage: str = ""
    seconds: float = 0.0


def run_name(unit: Unit) -> str:
    """Return the path of a unit's run relative to the sweep's folder."""
    return f"{RUNS}/{unit.name}"


def run_folder(place: Place, unit: Unit) -> Path:
    """Return the folder of a unit's run."""
    return place.folder / run_name(unit)


def state_of(place: Place, unit: Unit) -> UnitState:
    """Return the current state of a unit."""
    record, manifest = _record(place, unit), _manifest(place, unit)
    seconds = sum(stage.get("seconds", 0.0) for stage in manifest.get("stages", {}).values())
    done = record.get("standing") == Standing.DONE and record.get("run") == manifest.get("key")
    if _is_complete(manifest) and (done or _is_of(manifest, unit.spec)):
        return UnitState(standing=Standing.DONE, attempts=record.get("attempts", 0), seconds=seconds)
    counts = {"attempts": record.get("attempts", 0), "begun": record.get("begun", 0)}
    if record.get("standing") == Standing.FAILED:
        return UnitState(standing=Standing.FAILED, reason=record.get("error", ""), seconds=seconds, **counts)
    held = place.holder(_lease(unit))
    if held is not None:
        place.fetch(f"{run_name(unit)}/{PROGRESS}")
        stage = moment_of(run_folder(place, unit), held).words
        since = time.time() - record.get("started", time.time())
        return UnitState(standing=Standing.RUNNING, stage=stage, seconds=since, **counts)
    return UnitState(standing=Standing.WAITING, seconds=seconds, **counts)


def states_of(place: Place, units: Sequence[Unit]) -> dict[str, UnitState]:
    """Return the current state of each unit, by name."""
    return {unit.name: state_of(place, unit) for unit in units}


def _is_complete(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is intact and belongs to a finished run with the current library versions."""
    complete = manifest.get("status") == "complete" and manifest.get("versions") == versions()
    return complete and is_sealed(manifest)


def other_versions(place: Place, unit: Unit) -> dict[str, tuple[str, str]]:
    """Return what a unit's worker finished it with and this process lacks: both versions, by name; "" if not there.

    Empty if no worker has finished it.
    """
    record, manifest = _record(place, unit), _manifest(place, unit)
    if record.get("standing") != Standing.DONE or record.get("run") != manifest.get("key"):
        return {}
    theirs, ours = manifest.get("versions", {}), versions()
    both = {name: (theirs.get(name, ""), ours.get(name, "")) for name in sorted({*theirs, *ours})}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _is_of(manifest: dict[str, Any], spec: RunSpec) -> bool:
    """Return whether a manifest belongs to a spec, with the settings that a run fills in when it begins.

    A spec does not tell whether the user's files are unchanged: of their runs, a worker opens each once.
    """
    if spec.data:
        return False
    study = registry.get("studies", spec.study)
    with contextlib.suppress(AtlasError):  # a chat's template cannot be read
        prepared = settled_spec(study.prepare(spec, study.settings(**spec.settings)))
        return bool(manifest.get("spec") == prepared.model_dump(mode="json"))
    return False


def has_other_texts(place: Place, unit: Unit) -> bool:
    """Return whether the user's files are other than those of a unit's run, or cannot be read: a worker tells which."""
    with contextlib.suppress(AtlasError):
        return prepare(registry.get("studies", unit.spec.study), unit.spec).key != _manifest(place, unit).get("key")
    return True


@contextlib.contextmanager
def lease(place: Place, unit: Unit) -> Iterator[None]:
    """Hold the lease of a unit; raises InUseError if another worker holds it."""
    with place.held(_lease(unit)):
        yield


def desk_of(place: Place, unit: Unit) -> Desk:
    """Return where the worker that runs a unit posts the stages that others can help with."""
    return Desk(place, _lease(unit), run_name(unit))


def begin(place: Place, unit: Unit, worker: str) -> int:
    """Record that the holder of the lease begins, and return the number of attempts so far."""
    before = _record(place, unit)
    counts = {name: int(before.get(name, 0)) + 1 for name in ("attempts", "begun", "vain")}
    kept = {"found": before.get("found", hash_of([]))}
    _write(place, unit, standing=Standing.RUNNING, worker=worker, started=time.time(), **counts, **kept)
    return counts["attempts"]


def in_vain(place: Place, unit: Unit) -> int:
    """Return how many attempts in a row, the present one among them, found no part that the one before had finished.

    The run's folder must be up to date, and the holder of the lease must have begun.
    """
    record, found = _record(place, unit), hash_of(_parts(run_folder(place, unit)))
    if record["found"] != found:
        record |= {"found": found, "vain": 1}
        _write(place, unit, **record)
    return int(record["vain"])


def _parts(run: Path) -> list[str]:
    """Return the names of a run's finished files; those that a run has from its start are none."""
    names = (path.relative_to(run) for path in run.rglob("*") if path.is_file() and path.suffix != ".part")
    hidden = {MANIFEST, PROGRESS, LOCK}
    return sorted(str(name) for name in names if not any(p in hidden or p.startswith(".") for p in name.parts))


def end(place: Place, unit: Unit, standing: Standing, attempts: int, error: str = "", *, again: bool = False) -> None:
    """Record the outcome of the holder's work on a unit; `again`: the sweep's next call tries a failed one anew.

    A unit that waits was stopped, which is no attempt.
    """
    run, before = _manifest(place, unit).get("key"), _record(place, unit)
    kept = {name: before[name] for name in ("begun", "found", "vain") if name in before}
    if standing is Standing.WAITING and kept.get("vain"):
        kept["vain"] -= 1
    _write(place, unit, standing=standing, attempts=attempts, error=error, again=again, run=run, **kept)


def is_tried_again(place: Place, unit: Unit) -> bool:
    """Return whether a unit failed for a reason that lies outside it, such as a full disk."""
    return bool(_record(place, unit).get("again"))


def reopen(place: Place, unit: Unit, standing: Standing) -> None:
    """Reset a unit that ended in the state `standing`, unless a worker holds it."""
    if _record(place, unit).get("standing") != standing:
        return
    with contextlib.suppress(InUseError), lease(place, unit):
        if _record(place, unit).get("standing") == standing:
            _write(place, unit, standing=Standing.WAITING, attempts=0)


def _lease(unit: Unit) -> str:
    return f"units/{unit.name}"


def _state(unit: Unit) -> str:
    return f"{_lease(unit)}/state.json"


def _write(place: Place, unit: Unit, /, **record: Any) -> None:
    write_sealed(place.folder / _state(unit), {**record, "unit": unit.name})
    place.publish(_state(unit))


def _record(place: Place, unit: Unit) -> dict[str, Any]:
    """Return the record of a unit; empty if there is none, or it is damaged or a copy of another unit's."""
    place.fetch(_state(unit))
    with contextlib.suppress(StoreError):
        record = read_sealed(place.folder / _state(unit))
        return record if record.get("unit") == unit.name else {}
    return {}


def model_files(place: Place, unit: Unit) -> dict[str, str]:
    """Return the hashes of the model's files that a unit's run has used, by name; empty if it has loaded none."""
    files: dict[str, str] = _manifest(place, unit).get("model", {}).get("files", {})
    return files


def _manifest(place: Place, unit: Unit) -> dict[str, Any]:
    place.fetch(f"{run_name(unit)}/{MANIFEST}")
    return read_object(run_folder(place, unit) / MANIFEST)
