"""A bucket holds a run as a folder does: one holder of a lease, whole files, nothing computed twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from layeratlas.api.folders import folder_path
from layeratlas.api.places import place_of
from layeratlas.core.checksums import write_sealed
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.runs import lease
from layeratlas.runs.bucket_place import BucketPlace
from layeratlas.runs.identity import versions
from layeratlas.runs.lease import TakenOverError, lease_holder, leased
from layeratlas.runs.lock import LOCK, InUseError
from layeratlas.runs.place import FolderPlace
from layeratlas.runs.workspace import Workspace
from layeratlas.store import DiskStore, Shape, publishing
from layeratlas.store.bucket import Bucket, ChangedError, UnreachableError
from layeratlas.store.mirror import Mirror
from layeratlas.sweeps import worker
from layeratlas.sweeps.plan import write_plan
from layeratlas.sweeps.spec import SweepSpec
from layeratlas.sweeps.state import Standing, state_of
from layeratlas.sweeps.units import units_of
from processes import dead_pid

obstore = pytest.importorskip("obstore")


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(obstore.store.MemoryStore(), "s3://memory/x")


def at_once(count: int, do) -> list[str]:
    """Call `do(number)` in threads and return what each did: its result, or the name of its error."""
    ended = [""] * count

    def one(number: int) -> None:
        try:
            ended[number] = do(number)
        except Exception as error:
            ended[number] = type(error).__name__

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def hold(bucket: Bucket, count: int):
    """Return what each of `count` threads does: it tries to hold the lease until all have tried."""
    gate, tried = threading.Barrier(count), threading.Barrier(count)

    def one(_: int) -> str:
        gate.wait()
        try:
            with leased(bucket, LOCK):
                tried.wait(60)
                return "held"
        except InUseError:
            tried.wait(60)
            raise

    return one


def abandon(bucket: Bucket, **changed: object) -> None:
    """Leave a lease as a process leaves it that was killed."""
    with leased(bucket, LOCK):
        kept = json.loads(bucket.read(LOCK)[0])
    bucket.write(LOCK, json.dumps({**kept, **changed}).encode())


@pytest.mark.parametrize("left", ["nothing", "given back", "dead", "silent"])
def test_one_of_six_gets_a_lease_that_is_free(bucket, monkeypatch, left):
    if left == "given back":
        abandon(bucket, held=False)
    if left == "dead":
        abandon(bucket, pid=dead_pid())
    if left == "silent":
        abandon(bucket, machine="another")
        written = bucket.read(LOCK)[1].written
        fresh = lease._is_free
        monkeypatch.setattr(lease, "STALE", 3.0)

        def is_free(known, entry, now) -> bool:
            return entry.written == written or fresh(known, entry, now)

        monkeypatch.setattr(lease, "_is_free", is_free)
    ended = at_once(6, hold(bucket, 6))
    assert Counter(ended) == {"held": 1, "InUseError": 5}
    assert lease_holder(bucket, LOCK) is None


@pytest.mark.parametrize("changed", [{"machine": "another"}, {"machine": "another", "pid": 1}, {"pid": 1}])
def test_a_lease_of_a_living_or_foreign_process_is_respected(bucket, changed):
    abandon(bucket, **changed)
    assert lease_holder(bucket, LOCK)["pid"] == changed.get("pid", os.getpid())
    with pytest.raises(InUseError, match="one process per run"), leased(bucket, LOCK):
        pass


def test_a_lease_is_silent_after_minutes_and_beats_before(bucket, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    with leased(bucket, LOCK):
        first = bucket.read(LOCK)
        time.sleep(0.3)
        assert bucket.read(LOCK)[1].tag != first[1].tag
    known, entry = json.loads(first[0]), first[1]
    now = datetime.now(UTC)
    assert not lease._is_free({**known, "machine": "another"}, entry, now)
    monkeypatch.setattr(lease, "STALE", (now - entry.written).total_seconds())
    assert lease._is_free({**known, "machine": "another"}, entry, now)


@pytest.mark.parametrize("ahead", [timedelta(minutes=20), timedelta(minutes=-20)])
def test_a_lease_is_stale_by_the_store_s_clock_and_not_by_this_machine_s(bucket, monkeypatch, ahead):
    abandon(bucket, machine="another")

    class Skewed(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + ahead

    monkeypatch.setattr(lease, "datetime", Skewed)
    assert lease_holder(bucket, LOCK) is not None
    with pytest.raises(InUseError), leased(bucket, LOCK):
        pass
    assert set(bucket.entries()) == {LOCK}  # and nothing is left of the question
    if ahead > timedelta(0):  # a silent one is taken over all the same, as soon as both clocks say so
        monkeypatch.setattr(lease, "STALE", 0.0)
        with leased(bucket, LOCK):
            pass


@pytest.fixture
def stale(bucket, monkeypatch) -> str:
    """A stale lease in folder `a`, whose state the store's clock decides; returns its name."""
    name = f"a/{LOCK}"
    bucket.write(name, THEIRS)
    monkeypatch.setattr(lease, "STALE", 0.01)
    time.sleep(0.05)
    return name


def test_the_state_of_a_lease_can_be_read_without_the_right_to_write(bucket, stale, monkeypatch):
    def refuse(*given: object, **named: object) -> None:
        raise obstore.exceptions.PermissionDeniedError("403")

    with monkeypatch.context() as patch:
        patch.setattr(obstore, "put", refuse)
        patch.setattr(obstore, "delete", refuse)
        assert lease_holder(bucket, stale) is None
        with pytest.raises(StoreError, match="refuses these credentials"), leased(bucket, stale):
            pass
        patch.setattr(lease, "STALE", 300.0)
        assert lease_holder(bucket, stale)["token"] == "theirs"
    assert set(bucket.entries()) == {stale}


def test_a_question_for_the_clock_is_seen_by_no_other_process(bucket, place, stale, monkeypatch):
    asked: list[str] = []

    def killed(_: Bucket, name: str) -> None:
        asked.append(name)

    monkeypatch.setattr(Bucket, "remove", killed)
    assert [lease_holder(bucket, stale) for _ in range(2)] == [None, None]
    assert len(set(asked)) == 2
    assert set(asked) == set(bucket.entries()) - {stale}
    bucket.write("a/run.json", b"1")  # what the mirror does bring
    place.bring("a")
    place.update("a")
    assert [path.name for path in (place.folder / "a").rglob("*")] == ["run.json"]
    monkeypatch.undo()
    place.remove("a")
    assert not bucket.entries()


def test_who_slept_gives_no_lease_of_another_back(bucket):
    with leased(bucket, LOCK):
        bucket.write(LOCK, THEIRS)
    assert bucket.read(LOCK)[0] == THEIRS


THEIRS = json.dumps({"held": True, "machine": "another", "pid": 1, "token": "theirs"}).encode()


@pytest.fixture
def place(bucket, tmp_path, monkeypatch) -> BucketPlace:
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path))
    monkeypatch.setattr(publishing, "_PAUSE", 0.02)
    return BucketPlace(bucket)


def slept(monkeypatch) -> None:
    """Let this process have given no sign for longer than any lease lasts."""
    now = time.time()
    monkeypatch.setattr(lease.time, "time", lambda: now + 1000)


def work(place: BucketPlace, do) -> None:
    """Call `do(folder)` as a run in the place's folder `a`."""
    with place.working("a") as folder:
        do(folder)


def test_who_slept_uploads_nothing_once_another_has_taken_over(bucket, place, monkeypatch):
    def be_late(folder) -> None:
        fill(folder, {"run.json": "1"})
        place.publish("a")
        bucket.write(f"a/{LOCK}", THEIRS)
        fill(folder, {"run.json": "2", "curves.parquet": "c"})
        slept(monkeypatch)
        place.publish("a")

    with pytest.raises(TakenOverError, match=r"another process has taken over 's3://memory/x/a/.*; run the same"):
        work(place, be_late)
    assert bucket.read("a/run.json")[0] == b"1"
    assert bucket.read("a/curves.parquet") is None
    assert bucket.read(f"a/{LOCK}")[0] == THEIRS


@pytest.fixture
def attended():
    """Ctrl-C as it is in a terminal: shells start jobs in the background with it ignored."""
    known = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, known)


@pytest.mark.usefixtures("attended")
def test_a_run_whose_lease_is_lost_stops_at_once(bucket, place, monkeypatch):
    ended = []

    def go_on(_) -> None:
        bucket.write(f"a/{LOCK}", THEIRS)
        slept(monkeypatch)
        threading.Event().wait(60)
        ended.append(True)

    with pytest.raises(TakenOverError) as raised:
        work(place, go_on)
    assert not ended
    assert raised.value.__context__ is None  # else a command would call it the user's interrupt


def test_our_own_heartbeat_sent_twice_keeps_the_lease(bucket, place, monkeypatch):
    with place.working("a") as folder:
        ours = json.loads(bucket.read(f"a/{LOCK}")[0])
        bucket.write(
            f"a/{LOCK}", json.dumps({**ours, "nonce": "of a request that was answered and not heard"}).encode()
        )
        slept(monkeypatch)
        fill(folder, {"run.json": "1"})
        place.publish("a")
    assert bucket.read("a/run.json")[0] == b"1"
    assert lease_holder(bucket, f"a/{LOCK}") is None  # given back


@pytest.mark.usefixtures("attended")
@pytest.mark.parametrize("name", ["run.json", LOCK], ids=["upload", "heartbeat"])
def test_credentials_that_end_during_a_run_are_told_and_a_store_that_is_silent_for_once_is_not(
    bucket, place, monkeypatch, name
):
    monkeypatch.setattr(lease, "BEAT", 0.02)
    does, errors = Bucket.write, []

    def write(self, key, *rest, **options):
        if key.endswith(name) and errors:
            raise errors.pop()
        return does(self, key, *rest, **options)

    monkeypatch.setattr(Bucket, "write", write)
    with place.working("a") as folder:
        errors.append(UnreachableError("it does not answer"))
        fill(folder, {"run.json": "1"})
        until(lambda: not errors and bucket.read("a/run.json"))

    def go_on(folder) -> None:
        fill(folder, {"run.json": "2"})
        errors.extend([SpecError("there are no valid credentials")] * 100)
        threading.Event().wait(60)

    with pytest.raises(SpecError, match="no valid credentials"):
        work(place, go_on)
    assert errors


def until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def fill(folder, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def read(folder) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


FILES = {"run.json": "{}", "curves.parquet": "c", "activations/a.json": "1", "activations/a.safetensors": "long" * 9}


def test_a_folder_comes_back_as_it_was_published(bucket, tmp_path):
    here, there = (Mirror(tmp_path / name, bucket, frozenset({LOCK})) for name in ("here", "there"))
    fill(here.folder, {**FILES, LOCK: "mine", ".f3.part": "half"})
    here.publish()
    fill(there.folder, {"old.parquet": "of an earlier run", LOCK: "theirs"})
    there.bring()
    assert read(there.folder) == {**FILES, LOCK: "theirs"}
    (there.folder / "curves.parquet").unlink()
    fill(there.folder, {"activations/a.json": "2"})
    there.publish()
    here.bring("activations")
    assert read(here.folder)["activations/a.json"] == "2"
    assert "curves.parquet" in read(here.folder)
    here.bring()
    assert "curves.parquet" not in read(here.folder)


def test_a_run_whose_bucket_was_emptied_begins_anew(bucket, place):
    """A bucket holds no empty folders, and a folder that holds some is no new one to a run."""
    with place.working("a") as folder:
        fill(folder, FILES | {"cells/a/b": "a cell"})
    for name in bucket.entries():
        bucket.remove(name)
    with BucketPlace(bucket).working("a") as folder:
        assert list(folder.rglob("*")) == []
        assert Workspace(folder, RunSpec(), [], Progress()).manifest["status"] == "running"


def test_a_folder_that_vanishes_while_it_is_read_stops_no_upload(bucket, tmp_path, monkeypatch):
    mirror, scan = Mirror(tmp_path / "here", bucket), os.scandir
    fill(mirror.folder, {**FILES, "cells/a/b": "a cell"})

    def scan_late(path):
        if Path(path).name == "cells":
            monkeypatch.setattr(os, "scandir", scan)
            shutil.rmtree(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    mirror.publish()
    assert os.scandir is scan
    assert bucket.entries().keys() == FILES.keys()


def no_answer(*_, **__):
    raise StoreError("it does not answer")


def test_what_could_not_be_published_is_kept_unless_another_has_published(bucket, tmp_path, monkeypatch):
    fill(tmp_path / "here", FILES)
    Mirror(tmp_path / "here", bucket).publish()
    fill(tmp_path / "here", {"run.json": "newer", "more.parquet": "m"})
    (tmp_path / "here" / "curves.parquet").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "write", no_answer)
        with pytest.raises(StoreError, match="does not answer"):
            Mirror(tmp_path / "here", bucket).publish()
    again = Mirror(tmp_path / "here", bucket)
    again.bring()
    assert read(again.folder)["run.json"] == "newer"
    assert "more.parquet" in read(again.folder)
    other = Mirror(tmp_path / "other", bucket)
    other.bring()
    fill(other.folder, {"run.json": "another's"})
    other.publish()
    again.bring()
    assert read(again.folder) == read(other.folder)
    assert "more.parquet" not in read(again.folder)


def test_versions_which_listings_lack_tell_nothing(bucket, tmp_path, monkeypatch):
    """A bucket with versions: what was not published yet stays, and receipts are written over what was read."""
    puts = obstore.put
    monkeypatch.setattr(obstore, "put", lambda *given, **more: {**puts(*given, **more), "version": str(time.time())})
    fill(tmp_path / "here", FILES)
    Mirror(tmp_path / "here", bucket).publish()
    fill(tmp_path / "here", {"run.json": "newer", "more.parquet": "m"})
    again = Mirror(tmp_path / "here", bucket)
    again.bring()
    assert read(again.folder)["run.json"] == "newer"
    assert "more.parquet" in read(again.folder)
    again.publish()
    assert bucket.read("run.json")[0] == b"newer"
    with leased(bucket, LOCK), pytest.raises(InUseError), leased(bucket, LOCK):
        pass


def test_what_is_the_same_travels_once(bucket, tmp_path, monkeypatch):
    fill(tmp_path / "here", FILES)
    Mirror(tmp_path / "here", bucket).publish()
    asked = []
    for name in ("read", "write"):
        does = getattr(Bucket, name)
        monkeypatch.setattr(
            Bucket, name, lambda self, key, *rest, does=does: asked.append(key) or does(self, key, *rest)
        )
    again = Mirror(tmp_path / "here", bucket)
    again.bring()
    again.publish()
    assert asked == []
    fill(tmp_path / "here", {"curves.parquet": "d"})
    again.publish()
    assert asked == ["curves.parquet"]


def test_a_receipt_that_another_wrote_is_not_written_over(bucket, tmp_path):
    mirrors = [Mirror(tmp_path / name, bucket) for name in "ab"]
    for one in mirrors:
        one.bring()
        fill(one.folder, {"run.json": one.folder.name, "table.parquet": "t"})
    mirrors[0].publish()
    with pytest.raises(ChangedError, match="another process has written"):
        mirrors[1].publish()
    assert bucket.read("run.json")[0] == b"a"
    fill(mirrors[0].folder, {"run.json": "a again"})
    mirrors[0].publish()
    assert bucket.read("run.json")[0] == b"a again"


def test_a_kill_between_any_two_writes_leaves_whole_shards_only(bucket, tmp_path, monkeypatch):
    shape = Shape(6, 4, {"resid": 3})
    values = np.arange(6 * 3 * 4, dtype=np.float32).reshape(6, 3, 4)
    source = DiskStore(tmp_path / "source", shape, "a key")
    for row in range(6):
        source.write(f"s{row}", [row], {"resid": values[row : row + 1]})
    order, does = [], Bucket.write

    def write(self, name, *rest, **options):
        order.append(name)
        if len(order) > allowed:
            raise KeyboardInterrupt
        return does(self, name, *rest, **options)

    monkeypatch.setattr(Bucket, "write", write)
    finished = []
    for allowed in range(14):
        order.clear()
        (tmp_path / "source.index.json").unlink(missing_ok=True)  # which is of the bucket before
        fresh = Bucket(obstore.store.MemoryStore(), "s3://memory/x")
        try:
            Mirror(tmp_path / "source", fresh).publish()
        except KeyboardInterrupt:
            assert allowed < 13  # six shards, six receipts, the manifest
        else:
            assert allowed == 13
        Mirror(tmp_path / f"at{allowed}", fresh).bring()
        found = DiskStore(tmp_path / f"at{allowed}", shape, "a key")
        finished.append(len(found.finished()))
    assert finished == [*[0] * 7, 1, 2, 3, 4, 5, 6, 6]  # a shard without its receipt is as good as absent
    np.testing.assert_array_equal(found.read("resid", 1), values[:, 1])


SWEEP = SweepSpec(models=("one", "other"), studies=("exits",), seeds=(0, 1), size="quick")


def test_two_workers_compute_each_unit_of_a_bucket_once(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path))
    monkeypatch.setattr(BucketPlace, "pause", 0.0)
    monkeypatch.setattr(worker, "place_of", lambda out, apart: BucketPlace(bucket, apart=apart))
    ran = []

    def execute(study, spec, out, progress=None, models=None, turns=None):
        ran.append(spec.content_hash())
        prepared = study.prepare(spec, study.settings(**spec.settings))
        manifest = {"status": "complete", "versions": versions(), "spec": prepared.model_dump(mode="json")}
        write_sealed(out / "run.json", manifest)
        (out / "curves.parquet").write_text(spec.content_hash())

    monkeypatch.setattr(worker, "execute", execute)
    units, place = units_of(SWEEP), BucketPlace(bucket)
    plan = write_plan(place, SWEEP)
    assert at_once(2, lambda _: worker.work(bucket.url, plan) or "ended") == ["ended"] * 2
    assert Counter(ran) == Counter(unit.spec.content_hash() for unit in units)
    assert {state_of(place, unit).standing for unit in units} == {Standing.DONE}
    place.bring()
    for unit in units:
        assert (place.folder / "runs" / unit.name / "curves.parquet").read_text() == unit.spec.content_hash()
    assert not list(tmp_path.rglob("workers/*"))


def test_an_address_that_cannot_be_used_is_refused_in_one_line(monkeypatch, tmp_path):
    with pytest.raises(SpecError, match=r"'ftp://a/b' is no address of a bucket; expected s3://BUCKET/NAME, gs://"):
        place_of("ftp://a/b")
    with pytest.raises(SpecError, match="no address of a bucket"):
        place_of("s3:///x")
    for whole in ("s3://bucket", "s3://bucket/", "gs://bucket//"):
        with pytest.raises(
            SpecError, match=r"is a whole bucket; expected a place in it, such as (s3|gs)://bucket/NAME"
        ):
            place_of(whole)
    with pytest.raises(SpecError, match=r"'s3:/a/b' is the address of a bucket; expected a folder"):
        folder_path("s3:/a/b")
    place = place_of(f"file://{tmp_path}/a%20b")
    assert isinstance(place, FolderPlace)
    assert place.folder == tmp_path / "a b"
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SpecError, match=r"needs the package 'obstore'.*pip install 'layeratlas\[buckets\]'"):
        place_of("s3://a/b")
