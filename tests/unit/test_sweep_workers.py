"""Workers share a folder by leases: nothing lost, nothing computed twice, a killed worker's unit is begun again."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import pytest

from layeratlas.core import own_folders, registry
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import AtlasError, DataError, FullError, ModelError, StoreError
from layeratlas.core.files import COMPARISON, write_json
from layeratlas.core.progress import Progress
from layeratlas.models.files import hashes
from layeratlas.runs.helping import help_with, remove_left_copies
from layeratlas.runs.identity import versions
from layeratlas.runs.kept_model import KeptModel
from layeratlas.runs.kept_progress import PROGRESS, Moment
from layeratlas.runs.lock import InUseError, this_process
from layeratlas.runs.place import FolderPlace, Place
from layeratlas.runs.splitting import Order
from layeratlas.store.bucket import UnreachableError
from layeratlas.sweeps import finishing, running, state, worker
from layeratlas.sweeps.engines.contract import Launch, Share
from layeratlas.sweeps.plan import write_plan
from layeratlas.sweeps.running import Sweep
from layeratlas.sweeps.same_models import demand_same_models
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import (
    Standing,
    begin,
    desk_of,
    end,
    in_vain,
    is_tried_again,
    lease,
    reopen,
    run_folder,
    state_of,
    states_of,
)
from layeratlas.sweeps.status import status_table
from layeratlas.sweeps.units import TOGETHER, Unit, units_of
from processes import dead_pid

SWEEP = SweepSpec(models=("one", "other", "third"), studies=("hierarchy", "exits"), seeds=(0, 1), size="quick")


NODE = platform.node()


@pytest.fixture
def place(tmp_path) -> FolderPlace:
    return FolderPlace(tmp_path)


@pytest.fixture
def units():
    return units_of(SWEEP)


@pytest.fixture
def computed(monkeypatch):
    """Replace running a spec by writing the manifest that a finished run has; returns what was run, in order."""
    ran = []

    def execute(study, spec, out, progress=None, models=None, turns=None):
        ran.append(spec)
        time.sleep(0.01)
        prepared = study.prepare(spec, study.settings(**spec.settings))
        manifest = {"status": "complete", "versions": versions(), "spec": prepared.model_dump(mode="json")}
        write_sealed(out / "run.json", manifest | {"key": spec.content_hash()})
        return out

    monkeypatch.setattr(worker, "execute", execute)
    return ran


def killed(place: Place, unit: Unit) -> None:
    """Leave a unit as a worker leaves it that was killed."""
    with lease(place, unit):
        begin(place, unit, "a worker")
        lock = place.folder / "units" / unit.name / "run.lock"
        kept = lock.read_text()
    assert json.loads(kept)["host"] == platform.node()
    lock.write_text(json.dumps({**json.loads(kept), "pid": dead_pid()}))


def test_each_unit_is_computed_once_by_three_workers(tmp_path, place, units, computed):
    plan = write_plan(place, SWEEP)
    threads = [threading.Thread(target=worker.work, args=(str(tmp_path), plan)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(spec.content_hash() for spec in computed) == Counter(unit.spec.content_hash() for unit in units)
    assert {state_of(place, unit).standing for unit in units} == {Standing.DONE}


def test_the_texts_that_a_killed_helper_left_are_removed_by_the_next_worker(tmp_path, place, computed, monkeypatch):
    scratch = tmp_path / "scratch"
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    helpers = [f"layeratlas-helper-{pid}@{node}@ab" for pid in (dead_pid(), os.getpid()) for node in (NODE, "another")]
    for name in (*helpers, "a folder of another program"):
        (scratch / name / "items").mkdir(parents=True)
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    assert {path.name for path in scratch.iterdir()} == {*helpers[1:], "a folder of another program"}


def test_a_helper_copies_a_run_where_the_next_worker_looks(tmp_path, place, units, monkeypatch):
    """It is killed as soon as it has copied the run."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    run = run_folder(place, units[0])
    write_json(run / "run.json", {"stages": {}, "key": "another"})
    order = Order(stage="capture", parts=[], on="", by="")
    with pytest.raises(AtlasError):
        help_with(
            registry.get("studies", "hierarchy"), units[0].spec, run, desk_of(place, units[0]), order, KeptModel()
        )
    (left,) = (tmp_path / "scratch").iterdir()
    assert left.name.startswith(f"layeratlas-helper-{os.getpid()}@{NODE}@")
    assert left.stat().st_mode & 0o077 == 0
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setattr(own_folders, "has_ended", lambda pid: pid == os.getpid())
    remove_left_copies()
    assert list((tmp_path / "scratch").iterdir()) == []


class Crashing:
    """An engine whose workers are those of a unit that takes help; `crash` tells which of them end at once."""

    def __init__(self, place: Place, unit: Unit, crash: Callable[[int], bool]) -> None:
        self.place, self.unit, self.crash = place, unit, crash
        self.started = self.looks = 0

    def start(self, launch: Launch, slot: int) -> CrashingWorker:
        self.started += 1
        return CrashingWorker(self, self.started - 1)


@dataclass
class CrashingWorker:
    engine: Crashing
    number: int

    def is_running(self) -> bool:
        engine = self.engine
        engine.looks += 1
        desk_of(engine.place, engine.unit).post(Order(stage="capture", parts=[], on="", by=""))
        if engine.looks == 40:
            end(engine.place, engine.unit, Standing.FAILED, 1, "it is over")
        return engine.looks < 45 and not engine.crash(self.number)

    def stop(self) -> None:
        pass

    def wait(self) -> None:
        pass


@pytest.mark.parametrize(("crashing", "started"), [("helpers", 4), ("first owner", 5)])
def test_helpers_that_crash_are_not_replaced_and_owners_are(place, units, monkeypatch, crashing, started):
    monkeypatch.setattr(running, "_LOOK", 0.0)
    engine = Crashing(place, units[0], lambda number: number > 0 if crashing == "helpers" else number == 0)
    launch = Launch(out=place.folder, address=place.address, plan="", share=Share(workers=4, threads=1))
    with lease(place, units[0]):
        begin(place, units[0], "a worker")
        running._Supervisor(engine, launch, Sweep(place, units[:1]), Progress()).run()
    assert engine.started == started


def test_a_second_worker_finds_nothing_to_do(tmp_path, place, computed):
    plan = write_plan(place, SWEEP)
    worker.work(str(tmp_path), plan)
    ran = len(computed)
    worker.work(str(tmp_path), plan)
    assert len(computed) == ran == 12


def test_a_worker_stays_with_the_model_that_it_has_loaded(tmp_path, place, computed):
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    models = [spec.model.id for spec in computed]
    assert sum(before != after for before, after in pairwise(models)) == 2


def test_a_worker_begins_with_a_model_that_nobody_runs(place, units):
    with lease(place, units[0]):
        begin(place, units[0], "another")
        order = worker._in_order(units, states_of(place, units), None)
    assert units[0] not in order
    assert order[0].spec.model.id == "other"


@pytest.mark.parametrize(("kills", "standing"), [(1, Standing.DONE), (2, Standing.DONE), (3, Standing.FAILED)])
def test_a_unit_whose_worker_was_killed_is_begun_again_twice(tmp_path, place, units, computed, kills, standing):
    for _ in range(kills):
        killed(place, units[0])
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    state = state_of(place, units[0])
    assert state.standing is standing
    assert (units[0].spec in computed) is (standing is Standing.DONE)
    assert len(computed) == 12 - (standing is Standing.FAILED)
    assert ("killed 3 times" in state.reason) is (standing is Standing.FAILED)


@pytest.mark.parametrize(("parts", "standing"), [("all", Standing.DONE), ("first", Standing.FAILED)])
def test_a_killed_worker_that_had_finished_a_further_part_is_no_failed_attempt(
    tmp_path, place, units, computed, parts, standing
):
    """A time limit kills a worker again and again; a run that cannot go on from some part is given up."""
    shards = run_folder(place, units[0]) / "activations"
    for number in range(6):
        with lease(place, units[0]):
            begin(place, units[0], "a worker")
            tries = in_vain(place, units[0])
            assert tries == (1 if parts == "all" else number or 1)
        shards.mkdir(parents=True, exist_ok=True)
        (shards / ("0" if parts == "first" else f"{number}")).touch()
        (shards / f"{number}.part").touch()
        write_json(shards.parent / PROGRESS, {"number": number})
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    assert state_of(place, units[0]).standing is standing


def test_an_error_is_final_and_the_rest_goes_on(tmp_path, place, units, computed, monkeypatch):
    works = worker.execute

    def fail_one(study, spec, out, progress=None, models=None, turns=None):
        if spec == units[3].spec:
            raise ModelError("it is no model", "a model", "choose one")
        return works(study, spec, out)

    monkeypatch.setattr(worker, "execute", fail_one)
    plan = write_plan(place, SWEEP)
    worker.work(str(tmp_path), plan)
    worker.work(str(tmp_path), plan)
    state = state_of(place, units[3])
    assert (state.standing, state.attempts) == (Standing.FAILED, 1)
    assert state.reason == "it is no model; expected a model; choose one"
    assert len(computed) == 11
    reopen(place, units[3], Standing.FAILED)
    monkeypatch.setattr(worker, "execute", works)
    worker.work(str(tmp_path), plan)
    assert state_of(place, units[3]).standing is Standing.DONE


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_unit_waits_and_counts_no_attempt(tmp_path, place, units, computed, monkeypatch, stop):
    """Ray makes a SystemExit of a termination."""
    works = worker.execute

    def interrupt(*_, **__):
        raise stop

    monkeypatch.setattr(worker, "execute", interrupt)
    for _ in range(5):
        with pytest.raises(stop):
            worker.work(str(tmp_path), write_plan(place, SWEEP))
    assert {state_of(place, unit).standing for unit in units} == {Standing.WAITING}
    assert {state_of(place, unit).attempts for unit in units} == {0}
    monkeypatch.setattr(worker, "execute", works)
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    assert {state_of(place, unit).standing for unit in units} == {Standing.DONE}


class Stopping:
    """An engine whose workers are stopped in their unit, ten of them; those that do not even begin one end at once."""

    def __init__(self, place: Place, unit: Unit, begins: bool) -> None:
        self.place, self.unit, self.begins, self.started = place, unit, begins, 0

    def start(self, launch: Launch, slot: int) -> Stopping:
        self.started += 1
        if self.begins:
            with lease(self.place, self.unit):
                attempts = begin(self.place, self.unit, "a worker")
                standing = Standing.WAITING if self.started <= 10 else Standing.FAILED
                end(self.place, self.unit, standing, attempts - 1)
        return self

    def is_running(self) -> bool:
        return False

    def stop(self) -> None:
        pass

    def wait(self) -> None:
        pass


def test_a_worker_that_was_stopped_is_replaced_however_often_and_one_that_cannot_begin_is_not(
    place, units, monkeypatch
):
    monkeypatch.setattr(running, "_LOOK", 0.0)
    launch = Launch(out=place.folder, address=place.address, plan="", share=Share(workers=1, threads=1))
    stopping, broken = (Stopping(place, unit, begins) for unit, begins in zip(units, (True, False), strict=False))
    running._Supervisor(stopping, launch, Sweep(place, units[:1]), Progress()).run()
    assert stopping.started == 11
    with pytest.raises(StoreError, match="4 workers ended and left 11 runs open; expected"):
        running._Supervisor(broken, launch, Sweep(place, units[1:]), Progress()).run()
    (place.folder / "workers" / "job").mkdir(parents=True)
    (place.folder / "workers" / "job" / "empty.log").touch()
    supervisor = running._Supervisor(broken, launch, Sweep(place, units[1:]), Progress())
    log = place.folder / "workers" / "job" / "1.err"
    log.write_text("Traceback\nImportError: it is broken\n\n")
    with pytest.raises(StoreError, match=r"left 11 runs open \(ImportError: it is broken\); expected"):
        supervisor.run()
    os.utime(log, (0, 0))  # of an earlier call
    with pytest.raises(StoreError, match="4 workers ended and left 11 runs open; expected"):
        running._Supervisor(broken, launch, Sweep(place, units[1:]), Progress()).run()


def test_runs_that_workers_finished_with_other_versions_are_named_as_the_cause(place, units, monkeypatch):
    """The code was changed, or a package installed, while the sweep went on."""
    monkeypatch.setattr(running, "_LOOK", 0.0)
    unit, ours = units[0], versions()
    manifest = {"status": "complete", "key": "a key", "versions": {**ours, "numpy": "0.9", "torch": ""}}
    with lease(place, unit):
        begin(place, unit, "a worker")
        write_sealed(run_folder(place, unit) / "run.json", manifest)
        end(place, unit, Standing.DONE, 1)
    launch = Launch(out=place.folder, address=place.address, plan="", share=Share(workers=1, threads=1))
    supervisor = running._Supervisor(Stopping(place, unit, begins=False), launch, Sweep(place, units[:1]), Progress())
    told = f"numpy 0.9 instead of {ours['numpy']}, torch none instead of {ours['torch']}"
    with pytest.raises(StoreError, match=re.escape(f"1 run with other versions than this process has ({told})")):
        supervisor.run()


def test_the_status_shows_the_present_step_of_a_unit_and_its_time_left(place, units):
    with lease(place, units[0]):
        begin(place, units[0], "a worker")
        assert f"{units[0].name} (starting)" in status_table(Sweep(place, units))[0]
        me = this_process()
        moment = Moment(by=f"{me['host']}:{me['pid']}", step="probe", share=0.25, left=200.0)
        write_json(place.folder / "runs" / units[0].name / PROGRESS, moment.model_dump())
        assert f"{units[0].name} (probe, 25 %, about 3 min 20 s left)" in status_table(Sweep(place, units))[0]
    # What a killed worker left says nothing about a unit that waits.
    assert "probe" not in status_table(Sweep(place, units))[0]


def test_a_table_for_a_low_terminal_shows_first_what_goes_on(place, units):
    """And counts the rest."""
    end(place, units[0], Standing.FAILED, 1, "it is wrong")
    with lease(place, units[5]):
        begin(place, units[5], "a worker")
        whole, final = status_table(Sweep(place, units), 13)
        assert (len(whole.splitlines()), final) == (13, False)
        text, _ = status_table(Sweep(place, units), 5)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines] == ["state", "running", "failed", "waiting", "and"]
    assert lines[-1] == "and 9 waiting"
    assert units[5].name in lines[1]


def test_a_unit_that_a_live_worker_holds_is_left_to_it(place, units, computed):
    with lease(place, units[0]):
        begin(place, units[0], "another")
        assert state_of(place, units[0]).standing is Standing.RUNNING
        assert not worker._take(place, units[0], KeptModel())
    assert computed == []


class Read:
    """A finished run, as far as the end of a sweep looks at it."""

    def in_family(self, _: object) -> Read:
        return self


def test_a_comparison_that_fails_is_told_and_an_earlier_one_is_not_returned(tmp_path, place, computed, monkeypatch):
    training = sys.modules["layeratlas.sweeps.training"]  # the package has a function of that name
    together = SWEEP.model_copy(update={"together": True})
    units = units_of(together)
    worker.work(str(tmp_path), write_plan(place, together))
    earlier = finishing.comparison_folder(place, TOGETHER)
    write_sealed(earlier / COMPARISON, {"format": 1, "runs": []})

    def fail(*_: object) -> None:
        raise DataError("the runs read other texts")

    monkeypatch.setattr(finishing, "compare", fail)
    monkeypatch.setattr(finishing, "read_run", lambda _: Read())
    monkeypatch.setattr(finishing, "judge_claims", lambda runs: pl.DataFrame({"claim": ["one"] * len(runs)}))
    uncompared = finishing.finish(place, units, finishing.Finish())
    assert uncompared == {TOGETHER: "the runs read other texts"}
    assert "all is not compared: the runs read other texts" in (tmp_path / "index.html").read_text()
    monkeypatch.setattr(training, "sweep", lambda *_, **__: Sweep(place, units, uncompared))
    with pytest.raises(StoreError, match="the 12 runs are done, and could not be compared: the runs read other texts"):
        training.over_checkpoints(together, tmp_path, Progress())
    monkeypatch.setattr(training, "sweep", lambda *_, **__: Sweep(place, units))
    assert training.over_checkpoints(together, tmp_path, Progress()).folder == earlier


def test_states_are_read_once_for_each_look(place, units, computed, monkeypatch):
    looked: list[str] = []
    read = state.state_of
    monkeypatch.setattr(state, "state_of", lambda place, unit: looked.append(unit.name) or read(place, unit))
    Sweep(place, units).summary()
    assert len(looked) == len(units)


@pytest.mark.parametrize("field", ["versions", "spec", "status", "seal"])
def test_a_run_of_another_origin_is_not_called_done(tmp_path, place, units, computed, field):
    plan = write_plan(place, SWEEP)
    worker.work(str(tmp_path), plan)
    path = tmp_path / "runs" / units[0].name / "run.json"
    manifest = json.loads(path.read_text())
    changed = {"versions": {}, "spec": {**manifest["spec"], "seed": 7}, "status": "running", "seal": "0"}
    manifest[field] = changed[field]
    path.write_text(json.dumps(manifest)) if field == "seal" else write_sealed(
        path, {key: value for key, value in manifest.items() if key != "seal"}
    )
    if field == "spec":  # the run of another spec that was put there, not by a worker
        (tmp_path / "units" / units[0].name / "state.json").unlink()
    assert state_of(place, units[0]).standing is not Standing.DONE


def test_a_run_that_fills_in_its_spec_when_it_begins_is_done_once(tmp_path, place, units, computed, monkeypatch):
    works = worker.execute

    def fill_in(study, spec, out, progress=None, models=None, turns=None):
        works(study, spec, out)
        manifest = json.loads((out / "run.json").read_text())
        manifest["spec"]["model"]["chat_template"] = "a hash"
        write_sealed(out / "run.json", {key: value for key, value in manifest.items() if key != "seal"})

    monkeypatch.setattr(worker, "execute", fill_in)
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    assert len(computed) == 12
    assert {state_of(place, unit).standing for unit in units} == {Standing.DONE}


def test_a_run_that_another_process_still_holds_is_left_for_later(tmp_path, place, units, monkeypatch):
    def in_use(*_, **__):
        raise InUseError("it is in use", "one process per run")

    monkeypatch.setattr(worker, "execute", in_use)
    assert not worker._take(place, units[0], KeptModel())
    state = state_of(place, units[0])
    assert (state.standing, state.attempts) == (Standing.WAITING, 0)


def test_a_store_that_does_not_answer_ends_the_worker_and_not_the_unit(tmp_path, place, units, monkeypatch):
    def unreachable(*_, **__):
        raise UnreachableError("it does not answer")

    monkeypatch.setattr(worker, "execute", unreachable)
    with pytest.raises(UnreachableError):
        worker._take(place, units[0], KeptModel())
    state = state_of(place, units[0])
    assert (state.standing, state.attempts) == (Standing.WAITING, 1)


def test_a_model_that_is_replaced_between_two_runs_of_a_sweep_is_refused(tmp_path, place):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    weights = folder / "model.safetensors"
    weights.write_bytes(b"the first")
    units = units_of(SweepSpec(models=(str(folder), "other"), seeds=(0, 1), size="quick"))

    def ran(unit: Unit) -> None:
        write_json(run_folder(place, unit) / "run.json", {"model": {"files": hashes(folder)}})

    ran(units[0])
    (folder / "notes.txt").write_text("what I think of this model")
    (folder / "trainer_state.json").write_text("{}")
    demand_same_models(place, units)  # files that decide no number
    weights.write_bytes(b"another one")
    with pytest.raises(
        StoreError,
        match=rf"the files of model '.*model' have changed since the run '{units[0].name}' of "
        r"this sweep \(model.safetensors\)",
    ):
        demand_same_models(place, units)
    ran(units[1])  # in the middle of the sweep
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match=rf"have changed since the run '{units[1].name}' of this sweep"):
        demand_same_models(place, units)
    write_json(run_folder(place, units[1]) / "run.json", {"model": {}})
    demand_same_models(place, units)  # a model that is gone is no other one


def test_a_unit_for_which_the_disk_was_full_is_tried_again_by_the_next_call(tmp_path, place, units, monkeypatch):
    def full(*_, **__):
        raise FullError("the disk is full", "free space for the whole run")

    monkeypatch.setattr(worker, "execute", full)
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    states = states_of(place, units)
    assert {each.standing for each in states.values()} == {Standing.FAILED}
    assert all("the disk is full" in each.reason for each in states.values())
    assert all(is_tried_again(place, unit) for unit in units)
    end(place, units[0], Standing.FAILED, 1, "it is wrong")
    assert not is_tried_again(place, units[0])


@pytest.mark.parametrize("copied", [("runs",), ("runs", "units")])
def test_a_unit_s_folder_that_is_a_copy_of_another_s_is_not_taken_for_done(tmp_path, place, units, computed, copied):
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    one, other = (unit.name for unit in units[:2])
    for folder in copied:
        shutil.rmtree(tmp_path / folder / other)
        shutil.copytree(tmp_path / folder / one, tmp_path / folder / other)
    states = states_of(place, units)
    assert states[other].standing is Standing.WAITING
    assert {state.standing for name, state in states.items() if name != other} == {Standing.DONE}
    # A copy of the same run, as of another sweep, is what it is.
    shutil.rmtree(tmp_path / "units" / one)
    assert state_of(place, units[0]).standing is Standing.DONE


def test_an_edited_plan_keeps_what_is_the_same_and_runs_what_is_new(tmp_path, place, units, computed):
    worker.work(str(tmp_path), write_plan(place, SWEEP))
    computed.clear()
    edited = SWEEP.model_copy(update={"models": ("other", "fourth"), "together": True})
    worker.work(str(tmp_path), write_plan(place, edited))
    assert {spec.model.id for spec in computed} == {"fourth"}
    computed.clear()
    changed = SWEEP.model_copy(update={"options": {"folds": 4}})
    worker.work(str(tmp_path), write_plan(place, changed))
    assert len(computed) == len(units_of(changed)) - sum(unit.spec.study == "exits" for unit in units)
    assert {state_of(place, unit).standing for unit in units} == {Standing.DONE}  # under their own names
