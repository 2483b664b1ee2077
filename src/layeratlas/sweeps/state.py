"""The state of a unit, read from the sweep's folder: waiting, running, done or failed.

`runs/NAME/` is the run. `units/NAME/` holds its lease, a lock with a heartbeat that one worker at a time has, and
`state.json`, which the holder of the lease alone writes: how often it was begun, and how it ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from layeratlas.core import registry
from layeratlas.core.checksums import is_sealed, read_sealed, write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json
from layeratlas.core.spec import RunSpec
from layeratlas.runs.lock import InUseError, holder, locked
from layeratlas.runs.workspace import versions
from layeratlas.sweeps.units import Unit

# A worker that was killed is replaced twice; what kills three has a cause.
ATTEMPTS = 3


class Standing(StrEnum):
    """How a unit stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """A unit's standing, who runs it, why it failed, at which stage it is, and the seconds that it has taken."""

    standing: Standing
    attempts: int = 0
    reason: str = ""
    stage: str = ""
    seconds: float = 0.0


def run_folder(out: Path, unit: Unit) -> Path:
    """Return the folder of a unit's run."""
    return out / "runs" / unit.name


def state_of(out: Path, unit: Unit) -> UnitState:
    """Return how a unit stands now."""
    record, manifest = _record(out, unit), _manifest(out, unit)
    seconds = sum(stage.get("seconds", 0.0) for stage in manifest.get("stages", {}).values())
    # Whether files of the user's are the same is for the run to see: a sweep starts such a unit once per call.
    same = record.get("standing") == Standing.DONE or (not unit.spec.data and _is_of(manifest, unit.spec))
    if same and _is_complete(manifest):
        return UnitState(standing=Standing.DONE, attempts=record.get("attempts", 0), seconds=seconds)
    attempts, reason = record.get("attempts", 0), record.get("error", "")
    if record.get("standing") == Standing.FAILED:
        return UnitState(standing=Standing.FAILED, attempts=attempts, reason=reason, seconds=seconds)
    if holder(_lease(out, unit)) is not None:
        stage = next(reversed(manifest.get("stages", {})), "load")
        since = time.time() - record.get("started", time.time())
        return UnitState(standing=Standing.RUNNING, attempts=attempts, stage=stage, seconds=since)
    return UnitState(standing=Standing.WAITING, attempts=attempts, seconds=seconds)


def _is_complete(manifest: dict[str, Any]) -> bool:
    """Return whether a manifest is sound, and that of a finished run made by the library versions of today."""
    complete = manifest.get("status") == "complete" and manifest.get("versions") == versions()
    return complete and is_sealed(manifest)


def _is_of(manifest: dict[str, Any], spec: RunSpec) -> bool:
    """Return whether a manifest is that of a spec, one that a run fills nothing into when it begins."""
    study = registry.get("studies", spec.study)
    prepared = study.prepare(spec, study.settings(**spec.settings))
    return bool(manifest.get("spec") == prepared.model_dump(mode="json"))


@contextlib.contextmanager
def lease(out: Path, unit: Unit) -> Iterator[None]:
    """Hold a unit; raises InUseError where another worker does."""
    with locked(_lease(out, unit)):
        yield


def begin(out: Path, unit: Unit, worker: str) -> int:
    """Note that the holder of the lease begins, and return how often the unit has now been begun."""
    attempts = int(_record(out, unit).get("attempts", 0)) + 1
    _write(out, unit, standing=Standing.RUNNING, attempts=attempts, worker=worker, started=time.time())
    return attempts


def end(out: Path, unit: Unit, standing: Standing, attempts: int, error: str = "") -> None:
    """Note how the holder's work on a unit ended."""
    _write(out, unit, standing=standing, attempts=attempts, error=error)


def reopen(out: Path, unit: Unit, standing: Standing) -> None:
    """Let a unit that ended so be begun again, unless a worker has it."""
    with contextlib.suppress(InUseError), lease(out, unit):
        if _record(out, unit).get("standing") == standing:
            _write(out, unit, standing=Standing.WAITING, attempts=0)


def _lease(out: Path, unit: Unit) -> Path:
    return out / "units" / unit.name


def _write(out: Path, unit: Unit, **record: Any) -> None:
    write_sealed(_lease(out, unit) / "state.json", record)


def _record(out: Path, unit: Unit) -> dict[str, Any]:
    """Return what was noted of a unit; nothing where nothing was, or where it is damaged."""
    with contextlib.suppress(StoreError):
        return read_sealed(_lease(out, unit) / "state.json")
    return {}


def _manifest(out: Path, unit: Unit) -> dict[str, Any]:
    with contextlib.suppress(StoreError):
        known = read_json(run_folder(out, unit) / "run.json")
        return known if isinstance(known, dict) else {}
    return {}
