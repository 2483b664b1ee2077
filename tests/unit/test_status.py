"""A run says how far it is while it goes, to its own process and to others, and leaves nothing of it when it ends."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import small_runs
from layeratlas import api
from layeratlas.api import run_status
from layeratlas.cli import terminal
from layeratlas.cli.terminal import PlainProgress, watch
from layeratlas.core import progress, registry
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import StoreError
from layeratlas.core.files import write_json
from layeratlas.core.formatting import duration
from layeratlas.core.processes import Terminated
from layeratlas.core.progress import Pace, Progress, Step
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.runs import kept_progress, pipeline
from layeratlas.runs.bucket_place import BucketPlace
from layeratlas.runs.kept_progress import PROGRESS, KeptProgress, Moment, moment_of
from layeratlas.runs.lock import this_process
from layeratlas.runs.workspace import Workspace
from layeratlas.store.bucket import Bucket
from layeratlas.studies.exits import stages
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.scoring import first_look
from layeratlas.studies.exits.settings import ExitSettings


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (progress, kept_progress):
        monkeypatch.setattr(module.time, "monotonic", clock.monotonic)
    return clock


def test_the_time_left_is_from_this_process_s_work_alone(clock: Clock) -> None:
    pace = Pace(100)
    assert (pace.share, pace.left) == (0, None)
    pace.advance(40)  # at once: an earlier process did it
    assert (pace.share, pace.left) == (0.4, None)
    clock.now += 10
    pace.advance(20)
    assert (pace.share, pace.left) == (pytest.approx(0.6), pytest.approx(20))
    clock.now += 10
    pace.advance(60)  # more than was planned
    assert (pace.share, pace.left) == (1, 0)


def test_a_step_is_kept_with_its_share_and_time_left(clock: Clock, tmp_path: Path) -> None:
    stream = io.StringIO()
    kept = KeptProgress(PlainProgress(stream), tmp_path)
    assert moment_of(tmp_path).words == "starting"
    with kept.stage("probe", 10) as step:
        assert moment_of(tmp_path).words == "probe, 0 %"
        clock.now += 1
        step.advance(1)
        assert moment_of(tmp_path).share == 0  # written every two seconds
        clock.now += 2
        step.advance(1)
        kept.preview("a curve")
        assert moment_of(tmp_path).words == "probe, 20 %, about 12 s left"
    assert moment_of(tmp_path).previews == ("a curve",)
    assert stream.getvalue() == "probe ...\nprobe: done in 3 s\n"
    kept.end()
    assert list(tmp_path.iterdir()) == []


def test_after_a_step_the_one_around_it_is_kept_and_then_none(clock: Clock, tmp_path: Path) -> None:
    """The work that follows a step, or an error in it, is not shown as that step."""
    kept = KeptProgress(Progress(), tmp_path)
    with kept.stage("measure", 10) as step:
        clock.now += 3
        step.advance(5)
        with contextlib.suppress(ValueError), kept.stage("load", 3):
            assert moment_of(tmp_path).words == "load, 0 %"
            raise ValueError("too large")
        assert moment_of(tmp_path).words == "measure, 50 %, about 3 s left"
    kept.preview("a curve")
    assert moment_of(tmp_path).model_copy(update={"by": ""}) == Moment(begun=True, previews=("a curve",))
    assert moment_of(tmp_path).words == "running"


@pytest.mark.parametrize("damage", ["", "[]", '{"step": 3}', '{"share": "x"}', '{"else": 1}'])
def test_a_damaged_file_says_nothing_and_stops_nothing(tmp_path: Path, damage: str) -> None:
    (tmp_path / PROGRESS).write_text(damage, encoding="utf-8")
    assert moment_of(tmp_path) == Moment()


def test_a_folder_that_cannot_be_written_loses_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    stream = io.StringIO()
    with KeptProgress(PlainProgress(stream), tmp_path / "file").stage("probe", 1) as step:
        step.advance()
    assert "probe: done" in stream.getvalue()


class Looking(Progress):
    """Asks for the status of the run at every first result, and at the beginning of every step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, dict[str, str]()

    @contextlib.contextmanager
    def stage(self, name: str, total: float) -> Iterator[Step]:
        self.seen[name] = api.status(self.folder)
        with super().stage(name, total) as step:
            yield step

    def preview(self, text: str) -> None:
        self.seen["preview"] = api.status(self.folder)


def states(status: str) -> dict[str, str]:
    """Return the stages that a status lists, with their states."""
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in status.splitlines()[1:]]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def test_a_run_s_status_has_what_is_done_what_is_computed_and_what_is_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawing(work: Workspace) -> list[str]:
        with work.progress.stage("draw", 1):
            return []

    drawn = Looking(tmp_path)
    monkeypatch.setattr(stages, "report_stage", lambda study: drawing)
    model = small_runs.model_folder(tmp_path, "llama")
    spec = small_runs.spec_of("exits", tmp_path, model)
    folder = pipeline.execute(registry.get("studies", "exits"), spec, tmp_path / "run", drawn)
    first, last = drawn.seen["preview"], drawn.seen["draw"]
    assert re.match(rf"{folder}: exits of {model}, quick: running in process \d+ on ", first)
    assert states(drawn.seen["capture"])["score"].startswith("capture, ")
    assert states(first)["score"] == "running"
    assert states(first)["analyse"] == states(first)["report"] == "to come"
    assert states(last)["score"].startswith("done in")
    assert states(last)["report"].startswith("draw, 0 %")
    assert "at layer" in last.splitlines()[-1]
    assert re.fullmatch(rf"{folder}: exits of {model}, quick: done in [\d.]+ s", api.status(tmp_path))
    assert not (folder / PROGRESS).exists()
    # A run whose process has ended says so.
    damaged = json.loads((folder / "run.json").read_text())
    damaged["status"] = "running"
    damaged["stages"]["report"]["done"] = False
    write_sealed(folder / "run.json", damaged)
    assert "stopped after the stage 'analyse'; the same command resumes it" in api.status(folder).splitlines()[0]
    assert states(api.status(folder))["report"] == "not finished"


def test_what_a_killed_process_left_is_not_shown_as_the_state_of_the_next(tmp_path: Path) -> None:
    left = Moment(by="elsewhere:7", begun=True, step="probe", share=0.9, previews=("a curve",))
    write_json(tmp_path / PROGRESS, left.model_dump())
    assert moment_of(tmp_path) == left  # nobody works: its first curves are shown
    assert moment_of(tmp_path, {"host": "elsewhere", "pid": 7}) == left
    assert moment_of(tmp_path, {"host": "elsewhere", "pid": 8}).words == "starting"
    # The next process has the same number, as in a container that was restarted.
    me = this_process()
    write_json(tmp_path / PROGRESS, left.model_copy(update={"by": f"{me['host']}:{me['pid']}"}).model_dump())
    kept = KeptProgress(Progress(), tmp_path)
    assert moment_of(tmp_path, me).words == "starting"
    with kept.stage("capture", 10):
        assert moment_of(tmp_path, me).words == "capture, 0 %"


def test_a_finished_run_leaves_no_progress_of_a_process_that_was_killed_at_its_end(tmp_path: Path) -> None:
    spec = small_runs.spec_of("exits", tmp_path, small_runs.model_folder(tmp_path, "llama"))
    study = registry.get("studies", "exits")
    folder = pipeline.execute(study, spec, tmp_path / "run")
    write_json(folder / PROGRESS, Moment(by="elsewhere:7", step="report").model_dump())
    pipeline.execute(study, spec, tmp_path / "run")
    assert not (folder / PROGRESS).exists()


def test_the_status_of_an_address_is_that_of_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    obstore = pytest.importorskip("obstore")
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "cache"))
    bucket = Bucket(obstore.store.MemoryStore(), "s3://memory/x")
    monkeypatch.setattr(run_status, "place_of", lambda out, apart: BucketPlace(bucket, apart=apart))
    with pytest.raises(StoreError, match="'s3://memory/x' has no run"):
        api.status("s3://memory/x")
    spec = small_runs.spec_of("exits", tmp_path, small_runs.model_folder(tmp_path, "llama"))
    seen = dict[str, str]()

    class Asking(Progress):
        @contextlib.contextmanager
        def stage(self, name: str, total: float) -> Iterator[Step]:
            self.preview("last")
            with super().stage(name, total) as step:
                yield step

        def preview(self, text: str) -> None:
            place.publish("runs/one")
            seen["last" if text == "last" else "first"] = api.status("s3://memory/x/")

    place = BucketPlace(bucket)
    with place.working("runs/one") as folder:
        pipeline.execute(registry.get("studies", "exits"), spec, folder, Asking())
    assert re.match(r"s3://memory/x/runs/one: exits of .*, quick: running in process \d+ on ", seen["first"])
    assert states(seen["first"])["score"] == "running"
    assert "at layer" in seen["last"].splitlines()[-1]
    assert re.fullmatch(r"s3://memory/x/runs/one: exits of .*, quick: done in [\d.]+ s", api.status("s3://memory/x"))
    assert not list((tmp_path / "cache").rglob("workers/*"))


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no run; expected the folder of a run, or one above"):
        api.status(tmp_path)


def test_the_first_curve_of_a_question_set_runs_from_chance_to_one() -> None:
    items = tuple(Question(f"What is {i}?", ("right", "wrong"), (0,), f"g{i}") for i in range(4))
    right = np.tile([[1.0], [0.0]], (4, 1))
    ties = np.zeros((8, 1))
    after = np.hstack([ties, right, ties])
    sizes = np.ones(8)
    scored = ScoredSet(
        data=QuestionSet("quiz", "facts", items), after=after, bare=after, tokens=sizes, characters=sizes, bytes=sizes
    )
    assert first_look(scored, ExitSettings()).split(maxsplit=2) == ["quiz", "·█·", "1.00 at layer 1"]


TIMES = {
    0.13: "0.1 s",
    12.4: "12 s",
    59.7: "1 min",
    89: "1 min 29 s",
    600: "10 min",
    3599: "1 h",
    34980: "9 h 43 min",
    36000: "10 h",
    5e6: "1,389 h",
    float("nan"): "–",
}


@pytest.mark.parametrize("seconds", TIMES)
def test_a_time_is_said_in_at_most_two_units(seconds: float) -> None:
    assert duration(seconds) == TIMES[seconds]


class Screen(io.StringIO):
    """A terminal, or a file."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize("terminal", [True, False])
def test_a_text_is_shown_live_at_a_terminal_and_once_elsewhere(monkeypatch, terminal: bool) -> None:
    looks: list[int | None] = []

    def look(most: int | None) -> tuple[str, bool]:
        looks.append(most)
        return f"[state] {len(looks)}", len(looks) >= 3

    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stdout", screen)
    watch(look, 0.0)
    assert looks[-1] is None  # all of it in the end
    assert ("[state] 1" in screen.getvalue(), f"[state] {len(looks)}" in screen.getvalue()) == (True, True)
    assert len(looks) == (4 if terminal else 1)
    assert ("\x1b" in screen.getvalue()) is terminal


def test_ctrl_c_ends_a_live_text_without_an_error_and_a_signal_to_end_does_not(monkeypatch) -> None:
    def interrupted(error: BaseException) -> None:
        monkeypatch.setattr(sys, "stdout", Screen(True))
        monkeypatch.setattr(terminal.time, "sleep", lambda _: (_ for _ in ()).throw(error))
        watch(lambda _: ("a table", False))

    interrupted(KeyboardInterrupt())
    with pytest.raises(Terminated):
        interrupted(Terminated(15))
