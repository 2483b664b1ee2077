"""Run a sweep: start workers, replace those that crash, and combine the finished runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layeratlas.api.folders import folder_path
from layeratlas.api.options import checked
from layeratlas.api.places import place_of
from layeratlas.api.results import Run
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.formatting import counted
from layeratlas.core.progress import Progress, checked_progress
from layeratlas.report.index import INDEX
from layeratlas.runs.helping import remove_left_copies
from layeratlas.runs.place import Place
from layeratlas.sweeps.engines import LOGS, Engine, Launch, Worker, find_engine, last_words
from layeratlas.sweeps.finishing import Finish, finish, notes_on
from layeratlas.sweeps.plan import planned
from layeratlas.sweeps.reading import read_sweep
from layeratlas.sweeps.resources import Resources
from layeratlas.sweeps.same_models import demand_same_models
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import (
    ATTEMPTS,
    SETTLED,
    Standing,
    UnitState,
    desk_of,
    has_other_texts,
    is_tried_again,
    other_versions,
    reopen,
    run_folder,
    run_name,
    state_of,
    states_of,
)
from layeratlas.sweeps.units import Unit, units_of

# Seconds between polls of the units' states.
_LOOK = 0.5


class Sweep:
    """A sweep: its units and their states, the finished runs, and their combined results.

    `folder` is the folder of its files on this machine, also for a bucket. `uncompared` tells why groups of runs could
    not be compared, by the group's name.
    """

    def __init__(self, place: Place, units: Sequence[Unit], uncompared: Mapping[str, str] | None = None) -> None:
        self.place, self.folder, self.units = place, place.folder, tuple(units)
        self.uncompared = dict(uncompared or {})

    @property
    def states(self) -> dict[str, UnitState]:
        """The current state of each unit, by name."""
        return states_of(self.place, self.units)

    @property
    def failed(self) -> dict[str, str]:
        """The errors of the failed units, by name."""
        return _reasons(self.states)

    @property
    def runs(self) -> dict[str, Run]:
        """The finished runs, by the unit's name."""
        states = self.states
        done = [unit for unit in self.units if states[unit.name].standing is Standing.DONE]
        for unit in done:
            self.place.bring(run_name(unit))
        return {unit.name: Run(run_folder(self.place, unit)) for unit in done}

    @property
    def index_path(self) -> Path:
        """The page that links to every run and comparison."""
        return self.folder / INDEX

    def summary(self) -> str:
        """Return the number of units in each state, and the errors of failed ones, one per line."""
        states = self.states
        counts = Counter(state.standing for state in states.values())
        head = ", ".join(f"{counts[standing]} {standing}" for standing in Standing if counts[standing])
        return "\n".join(
            [f"{counted(len(states), 'run')}: {head}", *(f"{name}: {why}" for name, why in _reasons(states).items())]
        )

    def __repr__(self) -> str:
        return f"Sweep in '{self.place.address}', {self.summary()}"


def _reasons(states: Mapping[str, UnitState]) -> dict[str, str]:
    return {name: state.reason for name, state in states.items() if state.standing is Standing.FAILED}


@checked
def sweep(
    plan: SweepSpec | Mapping[str, Any] | str | Path,
    *,
    out: str | Path,
    resources: Resources | Mapping[str, Any] | None = None,
    retry: bool = False,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Run every unit of a sweep that is not done yet, compare what can be compared, and return the sweep.

    `plan` is a TOML file, its fields, or a SweepSpec. Every unit is an ordinary run in `OUT/runs/NAME`, where `out` is
    a folder or the address of a bucket. The same call resumes an interrupted sweep, and does nothing if all units are
    done. Several calls, on one or more machines, may share `out`: each unit is computed once. A unit fails if three
    workers in a row are killed before one finishes a further part. A unit that raises an error stays failed until
    `retry` is given, one that found the disk full until the next call; the other units continue. `resources` (or its
    fields by name) tells how many workers there are, where, and what each is given; `engine` replaces its engine.

    Raises SpecError, before anything starts, if a unit could not be run, and StoreError if a model's files have been
    replaced since a run of the sweep, or while it went on.
    """
    sweep_spec, progress = spec_of(plan), checked_progress(progress)
    units, resources = units_of(sweep_spec), Resources.of(resources)
    if isinstance(engine, str):
        raise SpecError(f"the engine is {engine!r}", "an Engine", f"use resources={{'on': {engine!r}}}")
    engine = engine or find_engine(resources.on)
    share = resources.share(engine, units)
    if resources.workers and share.workers < resources.workers:
        progress.note(f"{share.workers} workers start: there are no GPUs for more (gpus=0: all share one)")
    place = place_of(out)
    demand_same_models(place, units)
    for unit in units:
        if retry or is_tried_again(place, unit):
            reopen(place, unit, Standing.FAILED)
        if unit.spec.data and has_other_texts(place, unit):
            reopen(place, unit, Standing.DONE)
    uncompared = None
    with planned(place, sweep_spec) as name:
        launch = Launch(out=place.folder, address=place.address, plan=name, share=share)
        while uncompared is None:
            _Supervisor(engine, launch, Sweep(place, units), progress).run()
            demand_same_models(place, units)
            uncompared = finish(place, units, Finish(families=sweep_spec.families, progress=progress))
    for note in notes_on(uncompared):
        progress.note(note)
    return Sweep(place, units, uncompared)


def spec_of(plan: SweepSpec | Mapping[str, Any] | str | Path) -> SweepSpec:
    """Return the sweep from a file, from fields, or from a SweepSpec; raises SpecError for anything else."""
    if isinstance(plan, SweepSpec):
        return plan
    if isinstance(plan, str | Path):
        return read_sweep(folder_path(plan))
    if not isinstance(plan, Mapping) or not all(isinstance(name, str) for name in plan):
        raise SpecError(f"the plan of a sweep is {plan!r}", "a TOML file, its fields or a SweepSpec")
    return SweepSpec(**plan)


class _Supervisor:
    """Keeps workers running while units are open."""

    def __init__(self, engine: Engine, launch: Launch, sweep: Sweep, progress: Progress) -> None:
        self._engine, self._launch, self._progress = engine, launch, progress
        self._place, self._units = sweep.place, sweep.units
        self._states: dict[str, UnitState] = {}
        self._helpers_crash, self._began = False, time.time()

    def run(self) -> None:
        """Return when every unit is done or failed; raises StoreError if workers end and leave units open."""
        workers = self._launch.share.workers
        running: dict[int, Worker] = {}
        started = 0
        try:
            while open_units := self._open():
                before = len(running)
                running = {slot: worker for slot, worker in running.items() if worker.is_running()}
                self._helpers_crash |= len(running) < before > open_units
                while len(running) < self._wanted(workers, open_units) and started < self._limit():
                    slot = next(slot for slot in range(workers) if slot not in running)
                    running[slot] = self._engine.start(self._launch, slot)
                    started += 1
                if not running:
                    raise self._left_open(started, open_units)
                time.sleep(max(_LOOK, self._place.pause))
            self._wait(list(running.values()))
        finally:
            left = [worker for worker in running.values() if worker.is_running()]
            for worker in left:
                worker.stop()
            for worker in left:
                worker.wait()
            remove_left_copies()

    def _left_open(self, started: int, open_units: int) -> StoreError:
        """Return the error that names why workers may have ended before all is done."""
        found = [versions for unit in self._units if (versions := other_versions(self._place, unit))]
        if found:
            pairs = found[0].items()
            told = ", ".join(f"{name} {theirs or 'none'} instead of {ours or 'none'}" for name, (theirs, ours) in pairs)
            return StoreError(
                f"workers finished {counted(len(found), 'run')} with other versions than this process has ({told})",
                "the same packages and code from a sweep's start to its end, and on all machines",
                "run the same command again once the versions are equal",
            )
        said = last_words(self._launch.out, self._began)
        return StoreError(
            f"{counted(started, 'worker')} ended and left {counted(open_units, 'run')} open"
            f"{f' ({said[:200]})' if said else ''}",
            "workers that end when all is done",
            f"see '{self._launch.out / LOGS}'",
        )

    def _limit(self) -> int:
        """Return how many workers may be started: as many as began a unit, and some that end before they begin one.

        What ends these, such as a broken package, ends all that follow, however many units there are.
        """
        begun = sum(state.begun for state in self._states.values())
        return (1 + ATTEMPTS) * self._launch.share.workers + begun

    def _wanted(self, workers: int, open_units: int) -> int:
        """Return how many workers have work: one per open unit, or all if a unit takes help.

        A worker that ends while others have the open units may be a helper whose successors would crash like it, so
        that none could be started for the units.
        """
        takes_help = open_units < workers and not self._helpers_crash
        running = [unit for unit in self._units if self._states[unit.name].standing is Standing.RUNNING]
        takes_help = takes_help and any(desk_of(self._place, unit).order() for unit in running)
        return workers if takes_help else min(workers, open_units)

    def _wait(self, running: Sequence[Worker]) -> None:
        """Wait until the workers end by themselves because no unit is left."""
        deadline = time.monotonic() + 20
        while any(worker.is_running() for worker in running) and time.monotonic() < deadline:
            time.sleep(_LOOK / 5)

    def _open(self) -> int:
        """Return the number of units that are neither done nor failed; report changes."""
        for unit in self._units:
            before = self._states.get(unit.name)
            if before is not None and before.standing in SETTLED:
                continue
            self._states[unit.name] = now = state_of(self._place, unit)
            if before is not None and now.standing is not before.standing:
                why = f": {now.reason}" if now.reason else ""
                self._progress.note(f"{unit.name}: {now.standing}{why}")
        return sum(state.standing not in SETTLED for state in self._states.values())
