"""A worker: takes unit after unit of a sweep's folder until every one is done or failed.

Any number may work on one folder, on any machines that share it. Which unit belongs to whom is decided by leases
alone; a worker prefers units of the model that it has loaded, then models that no other worker runs.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from layeratlas.core import registry
from layeratlas.core.errors import AtlasError
from layeratlas.core.processes import end_with, stoppable
from layeratlas.core.spec import ModelSpec
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.lock import InUseError
from layeratlas.runs.pipeline import execute
from layeratlas.sweeps.plan import read_plan
from layeratlas.sweeps.state import ATTEMPTS, Standing, begin, end, lease, run_folder, state_of
from layeratlas.sweeps.units import Unit

# Seconds between two looks at units that other workers hold.
_LOOK = 1.0


def work(out: str, plan: str) -> None:
    """Work on the sweep that the plan of that name in a folder describes, until no unit is left."""
    folder, models = Path(out), KeptModel()
    units = read_plan(folder, plan)
    while True:
        open_units = [unit for unit in units if state_of(folder, unit).standing in (Standing.WAITING, Standing.RUNNING)]
        if not open_units:
            return
        if not any(_take(folder, unit, models) for unit in _in_order(folder, open_units, models.spec)):
            time.sleep(_LOOK)


def _in_order(out: Path, units: Sequence[Unit], loaded: ModelSpec | None) -> list[Unit]:
    """Return the units that nobody runs, the best for this worker first."""
    running = [state_of(out, unit).standing is Standing.RUNNING for unit in units]
    busy = [unit.spec.model for unit, taken in zip(units, running, strict=True) if taken]
    waiting = [unit for unit, taken in zip(units, running, strict=True) if not taken]
    return sorted(waiting, key=lambda unit: (unit.spec.model != loaded, unit.spec.model in busy))


def _take(out: Path, unit: Unit, models: KeptModel) -> bool:
    """Run a unit to its end and return True; return False where another worker has it or has ended it."""
    try:
        with lease(out, unit):
            if state_of(out, unit).standing not in (Standing.WAITING, Standing.RUNNING):
                return False
            _run(out, unit, models)
            return True
    except InUseError:
        return False


def _run(out: Path, unit: Unit, models: KeptModel) -> None:
    attempts = begin(out, unit, f"{platform.node()}:{os.getpid()}")
    if attempts > ATTEMPTS:
        end(out, unit, Standing.FAILED, attempts - 1, f"its worker was killed {attempts - 1} times")
        return
    try:
        execute(registry.get("studies", unit.spec.study), unit.spec, run_folder(out, unit), load=models.load)
    except AtlasError as error:
        end(out, unit, Standing.FAILED, attempts, str(error))
    except KeyboardInterrupt:
        end(out, unit, Standing.WAITING, attempts - 1)
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        end(out, unit, Standing.FAILED, attempts, f"internal error, {type(error).__name__}: {reason}")
    else:
        end(out, unit, Standing.DONE, attempts)


def main() -> None:
    """Work on the folder and plan that the command line names; end with the process that launched this one."""
    out, plan, parent = sys.argv[1:]
    end_with(int(parent))
    try:
        with stoppable():
            work(out, plan)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
