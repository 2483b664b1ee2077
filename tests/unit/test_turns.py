"""Processes that share a stage: each part is computed once, and a part whose holder died is taken over."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from layeratlas.core.errors import StoreError
from layeratlas.core.turns import ALONE, Check, Part
from layeratlas.runs import splitting
from layeratlas.runs.lock import InUseError
from layeratlas.runs.place import FolderPlace
from layeratlas.runs.splitting import Desk, HelpingTurns, NothingLeftError, Order, OwnTurns
from processes import dead_pid

CPU = "cpu, 1 threads"


class Work:
    """Twelve parts, each a file in a folder; `computed` are the names of those that were computed, in order."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.computed: list[str] = []
        self.skipped: list[str] = []
        self.folder, self._seconds = folder, seconds
        self.place = FolderPlace(folder)
        self.desk = Desk(self.place, "units/one", "runs/one")

    def parts(self, prefix: str = "part") -> list[Part]:
        return [self._part(f"{prefix}-{number:02d}") for number in range(12)]

    def _part(self, name: str) -> Part:
        def compute(check: Check) -> None:
            self.computed.append(name)
            time.sleep(self._seconds)
            check()
            (self.folder / name).touch()

        return Part(
            name=name, is_done=(self.folder / name).exists, compute=compute, skip=lambda: self.skipped.append(name)
        )

    def owned(self) -> None:
        turns = OwnTurns(self.desk)
        turns.begin("capture")
        turns.each(self.parts(), on=CPU)

    def posted(self) -> Order:
        """Return the order that is posted, as soon as there is one."""
        while (order := self.desk.order()) is None:
            time.sleep(0.001)
        return order

    def helped(self, order: Order, prefix: str = "part", on: str = CPU) -> list[str]:
        """Help, and return what this helper has computed."""
        turns = HelpingTurns(self.desk, order)
        with pytest.raises(NothingLeftError):
            turns.each(self.parts(prefix), on=on)
        return turns.computed

    def held_by(self, part: str, pid: int) -> None:
        """Leave the lease of a part as a process leaves it that holds it."""
        folder = self.folder / "units/one/parts" / part
        folder.mkdir(parents=True)
        (folder / "run.lock").write_text(json.dumps({"host": platform.node(), "pid": pid, "started": "now"}))


@pytest.fixture
def work(tmp_path, monkeypatch) -> Work:
    monkeypatch.setattr(splitting, "WORTH", 0.0)
    monkeypatch.setattr(splitting, "_LOOK", 0.005)
    return Work(tmp_path, seconds=0.01)


def together(*functions: Callable[[], object]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


@pytest.mark.parametrize("helpers", [1, 2])
def test_each_part_is_computed_once_and_nothing_is_left(work, helpers):
    together(work.owned, *[lambda: work.helped(work.posted())] * helpers)
    assert Counter(work.computed) == Counter(part.name for part in work.parts())
    # The owner hears of the others' parts, so that its progress ends at the total.
    assert set(work.skipped) < set(work.computed)
    assert list((work.folder / "units/one").iterdir()) == []


def test_a_short_stage_is_not_posted(work, monkeypatch):
    monkeypatch.setattr(splitting, "WORTH", 60.0)
    monkeypatch.setattr(Desk, "post", lambda *_: pytest.fail("it was posted"))
    work.owned()
    assert len(work.computed) == 12
    assert not (work.folder / "units").exists()


def test_one_process_leaves_no_lease_and_computes_what_is_missing(work):
    (work.folder / "part-03").touch()
    ALONE.each(work.parts(), on=CPU)
    assert (len(work.computed), work.skipped) == (11, ["part-03"])
    assert not (work.folder / "units").exists()


def test_the_part_of_a_dead_helper_is_taken_over(work):
    work.held_by("part-04", dead_pid())
    work.owned()
    assert Counter(work.computed) == Counter(part.name for part in work.parts())


def test_the_owner_waits_for_a_live_helper(work):
    begun, finish = threading.Event(), threading.Event()

    def help_slowly() -> None:
        work.posted()
        with work.desk.held(work.parts()[-1]) as check:
            begun.set()
            assert finish.wait(20)
            check()
            (work.folder / "part-11").touch()

    def look() -> None:
        assert begun.wait(20)
        while len(work.computed) < 11:
            time.sleep(0.001)
        time.sleep(0.05)
        assert not (work.folder / "part-11").exists()
        finish.set()

    together(work.owned, help_slowly, look)
    assert "part-11" not in work.computed
    assert work.skipped == ["part-11"]


@pytest.mark.parametrize("changed", ["parts", "hardware"])
def test_a_process_that_would_compute_other_numbers_does_not_help(work, changed):
    order = Order(stage="capture", parts=[part.name for part in work.parts()], on=CPU, by="the owner")
    work.desk.post(order)
    prefix, on = ("other", CPU) if changed == "parts" else ("part", "cuda")
    assert work.helped(order, prefix, on) == work.computed == []
    assert len(work.helped(order)) == 12


def test_a_helper_passes_an_earlier_step_that_is_done_and_helps_with_the_next(work):
    order = Order(stage="score", parts=[part.name for part in work.parts("late")], on=CPU, by="the owner")
    work.desk.post(order)
    for part in work.parts("early"):
        (work.folder / part.name).touch()
    turns = HelpingTurns(work.desk, order)
    turns.each(work.parts("early"), on=CPU)
    assert turns.computed == []
    assert len(work.helped(order, "late")) == 12


@pytest.mark.parametrize(("prefix", "on", "posted"), [("part", "cuda", True), ("early", CPU, False)])
def test_a_helper_does_not_go_on_with_the_stage_once_all_is_done(work, prefix, on, posted):
    """It would compute what follows the parts as if it were the owner: with other hardware, or for no order."""
    order = Order(stage="capture", parts=[part.name for part in work.parts()], on=CPU, by="the owner")
    if posted:
        work.desk.post(order)
    for part in work.parts(prefix):
        (work.folder / part.name).touch()
    assert work.helped(order, prefix, on) == []


def test_a_helper_ends_once_the_order_is_withdrawn(work):
    order = Order(stage="capture", parts=[part.name for part in work.parts()], on=CPU, by="the owner")
    assert work.helped(order) == []


def test_an_owner_that_resumes_heeds_the_helpers_of_a_killed_one(work, monkeypatch):
    """It claims from the start, though its own stage has not taken long, since a helper may be in a part."""
    monkeypatch.setattr(splitting, "WORTH", 60.0)
    work.desk.post(Order(stage="capture", parts=[], on=CPU, by="the killed owner"))
    with work.desk.held(work.parts()[0]):
        thread = threading.Thread(target=work.owned)
        thread.start()
        while len(work.computed) < 11:
            time.sleep(0.001)
        assert "part-00" not in work.computed
    thread.join(20)
    assert work.computed[-1] == "part-00"


def test_the_order_of_a_killed_owner_is_withdrawn_before_the_first_stage_and_its_helpers_are_heeded(work, monkeypatch):
    monkeypatch.setattr(splitting, "WORTH", 60.0)
    order = Order(stage="capture", parts=[part.name for part in work.parts()], on=CPU, by="the killed owner")
    work.desk.post(order)
    turns = OwnTurns(work.desk)
    assert work.helped(order) == []
    assert not work.desk.is_used()
    with work.desk.held(work.parts()[0]):  # a helper was about to begin it
        thread = threading.Thread(target=turns.each, args=(work.parts(), CPU))
        thread.start()
        while len(work.computed) < 11:
            time.sleep(0.001)
        assert work.posted().by != order.by
        assert "part-00" not in work.computed
    thread.join(20)
    assert work.computed[-1] == "part-00"


def test_a_process_that_slept_while_its_part_was_taken_over_writes_nothing(work):
    part = work.parts()[0]
    with work.desk.held(part) as check:
        check()
        lock = work.folder / "units/one/parts" / part.name / "run.lock"
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "pid": 1}))
        with pytest.raises(StoreError, match="has taken over the part"):
            part.compute(check)
    assert not (work.folder / part.name).exists()


def test_a_part_that_needs_what_is_in_use_is_not_taken_for_one_that_another_computes(work):
    """The owner would wait for it for ever."""
    order = Order(stage="capture", parts=[part.name for part in work.parts()], on=CPU, by="the owner")
    work.desk.post(order)

    def need(check: Check) -> None:
        raise InUseError("a file of the model is in use", "one process")

    parts = [replace(part, compute=need) for part in work.parts()]
    with pytest.raises(InUseError, match="a file of the model"):
        HelpingTurns(work.desk, order).each(parts, on=CPU)
    with pytest.raises(InUseError, match="a file of the model"):
        OwnTurns(work.desk).each(parts, on=CPU)


def test_who_slept_in_a_part_leaves_it_to_the_process_that_took_it_over(work):
    def lose(check: Check) -> None:
        lock = work.folder / "units/one/parts/part-00/run.lock"
        lock.write_text(json.dumps({**json.loads(lock.read_text()), "pid": 1}))
        check()

    part = replace(work.parts()[0], compute=lose)
    assert not work.desk.take(part, lambda part, check: part.compute(check))


def test_an_error_of_the_owner_sends_the_helpers_away(work):
    """Those that are in a part are heeded by the next owner all the same, since leases are kept."""
    parts = work.parts()

    def fail(check: Check) -> None:
        raise ValueError("it is full")

    turns = OwnTurns(work.desk)
    with pytest.raises(ValueError, match="it is full"):
        turns.each([*parts[:3], replace(parts[3], compute=fail), *parts[4:]], on=CPU)
    assert work.desk.order() is None
    assert work.desk.is_used()
    work.owned()
    assert Counter(work.computed) == Counter(part.name for part in parts)
    assert not work.desk.is_used()
