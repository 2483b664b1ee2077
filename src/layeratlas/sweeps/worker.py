"""A worker: runs one unit of a sweep's folder after another until all are done or failed.

Any number of workers can share a folder, on any machines with access to it. Units are assigned by leases alone. A
worker prefers units of the model that it has loaded, then units of models that no other worker runs. If no unit is
left, it helps the workers of units whose current stage takes long.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence

from layeratlas.api.places import place_of
from layeratlas.core import registry
from layeratlas.core.errors import AtlasError, FullError
from layeratlas.core.processes import end_with, stoppable
from layeratlas.core.spec import ModelSpec
from layeratlas.runs.helping import help_with, remove_left_copies
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.lock import InUseError, LockLostError
from layeratlas.runs.pipeline import execute
from layeratlas.runs.place import Place
from layeratlas.runs.splitting import OwnTurns
from layeratlas.store.bucket import ChangedError, UnreachableError
from layeratlas.sweeps.plan import read_plan
from layeratlas.sweeps.state import (
    ATTEMPTS,
    RUNS,
    Standing,
    UnitState,
    begin,
    desk_of,
    end,
    in_vain,
    lease,
    run_folder,
    run_name,
    state_of,
    states_of,
)
from layeratlas.sweeps.units import Unit

# Seconds between checks of units that other workers hold.
_LOOK = 1.0
# Seconds to leave a unit to the next worker when the launching process has ended, which is no failure of the unit.
_GRACE = 20.0
_OPEN = (Standing.WAITING, Standing.RUNNING)


def work(out: str, plan: str) -> None:
    """Work on the sweep of the plan `plan` in the folder or bucket `out`, until no unit is left."""
    remove_left_copies()
    place, helped = place_of(out, apart=True), set[str]()
    models = KeptModel(place.folder / RUNS if place.shared else None)
    try:
        units = read_plan(place, plan)
        while True:
            states = states_of(place, units)
            if not any(state.standing in _OPEN for state in states.values()):
                return
            taken = any(_take(place, unit, models) for unit in _in_order(units, states, models.spec))
            running = (unit for unit in units if states[unit.name].standing is Standing.RUNNING)
            if not taken and not any(_help(place, unit, models, helped) for unit in running):
                time.sleep(max(_LOOK, place.pause))
    finally:
        models.close()
        place.leave()


def _in_order(units: Sequence[Unit], states: Mapping[str, UnitState], loaded: ModelSpec | None) -> list[Unit]:
    """Return the open units that no worker runs, in this worker's order of preference."""
    as_loaded = {unit.name: _as_loaded(unit.spec.model) for unit in units}
    here = _as_loaded(loaded) if loaded else None
    busy = [as_loaded[unit.name] for unit in units if states[unit.name].standing is Standing.RUNNING]
    waiting = [unit for unit in units if states[unit.name].standing is Standing.WAITING]
    return sorted(waiting, key=lambda unit: (as_loaded[unit.name] != here, as_loaded[unit.name] in busy))


def _as_loaded(spec: ModelSpec) -> ModelSpec:
    """Return a model's spec as `KeptModel` has it, but for the hash of the chat's template, which belongs to the id."""
    from layeratlas.models.devices import settled  # imports torch

    return settled(spec).model_copy(update={"chat_template": None})


def _take(place: Place, unit: Unit, models: KeptModel) -> bool:
    """Run a unit to its end and return True; return False if another worker holds it or has ended it."""
    try:
        with lease(place, unit):
            if state_of(place, unit).standing not in (Standing.WAITING, Standing.RUNNING):
                return False
            _run(place, unit, models)
            return True
    except (InUseError, ChangedError, LockLostError):
        return False


def _run(place: Place, unit: Unit, models: KeptModel) -> None:
    attempts = begin(place, unit, f"{platform.node()}:{os.getpid()}")
    try:
        with place.working(run_name(unit)) as folder:
            if in_vain(place, unit) > ATTEMPTS:
                why = f"its worker was killed {ATTEMPTS} times before it finished a further part"
                end(place, unit, Standing.FAILED, attempts - 1, why)
                return
            study, turns = registry.get("studies", unit.spec.study), OwnTurns(desk_of(place, unit))
            execute(study, unit.spec, folder, models=models, turns=turns)
    except (ChangedError, LockLostError, UnreachableError):  # taken over, or this worker must end as if it were killed
        raise
    except InUseError:  # a run outside the sweep, or one with a lease that is not stale yet, unlike the unit's
        end(place, unit, Standing.WAITING, attempts - 1)
        raise
    except AtlasError as error:
        end(place, unit, Standing.FAILED, attempts, str(error), again=isinstance(error, FullError))
    except (KeyboardInterrupt, SystemExit):  # Ray makes the second of a termination
        end(place, unit, Standing.WAITING, attempts - 1)
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        end(place, unit, Standing.FAILED, attempts, f"internal error, {type(error).__name__}: {reason}")
    else:
        end(place, unit, Standing.DONE, attempts)


def _help(place: Place, unit: Unit, models: KeptModel, helped: set[str]) -> bool:
    """Compute parts of a unit that another worker runs; return False if it needs no help, or had this worker's."""
    desk = desk_of(place, unit)
    order = desk.order()
    if order is None or order.by in helped or state_of(place, unit).standing is not Standing.RUNNING:
        return False
    helped.add(order.by)
    try:
        study = registry.get("studies", unit.spec.study)
        place.bring(run_name(unit))
        computed = help_with(study, unit.spec, run_folder(place, unit), desk, order, models)
    except Exception as error:  # the unit's own worker meets the same error, and records it
        print(f"cannot help with {unit.name}: {error}", file=sys.stderr, flush=True)
        return False
    return bool(computed)


def main() -> None:
    """Work on the folder and plan given on the command line; end when the launching process ends."""
    out, plan, parent = sys.argv[1:]
    end_with(int(parent), _GRACE)
    try:
        with stoppable():
            work(out, plan)
    except KeyboardInterrupt:
        sys.exit(130)
    except AtlasError as error:
        sys.exit(f"layeratlas: {error}")


if __name__ == "__main__":
    main()
