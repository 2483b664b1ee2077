"""A process that was stopped while another took its folder over puts nothing more into it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from layeratlas.core.files import demand_ownership, write_atomic
from layeratlas.runs import lock
from layeratlas.runs.lock import LOCK, LockLostError, locked

# Holds a folder's lock and writes `old` into a file again and again, until it is told that it may not.
_WRITES = """
import sys
import time
from pathlib import Path
from layeratlas.core.files import write_atomic
from layeratlas.runs import lock

lock.BEAT, lock.STALE = float(sys.argv[2]), float(sys.argv[3])
folder = Path(sys.argv[1])
try:
    with lock.locked(folder):
        while True:
            write_atomic(folder / "inner" / "file", b"old")
            time.sleep(0.002)
except lock.LockLostError as error:
    print(error)
    sys.exit(7)
"""
BEAT, STALE = 0.1, 1.0


def until(true) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def stopped(tmp_path):
    """A process that holds a folder and was stopped while it wrote."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WRITES, str(tmp_path), str(BEAT), str(STALE)], stdout=subprocess.PIPE, text=True
    )
    try:
        until((tmp_path / "inner" / "file").exists)
        process.send_signal(signal.SIGSTOP)
        # It is on another machine: here it has not ended, and only its silence counts.
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()
        process.stdout.close()


def test_who_slept_while_another_took_over_stops_before_it_writes(tmp_path, stopped, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", BEAT)
    monkeypatch.setattr(lock, "STALE", STALE)
    time.sleep(STALE + 0.2)
    file = tmp_path / "inner" / "file"
    with locked(tmp_path):
        write_atomic(file, b"new")
        stopped.send_signal(signal.SIGCONT)
        said, _ = stopped.communicate(timeout=60)
        assert stopped.returncode == 7
        assert said.startswith(f"another process has taken over '{tmp_path}', since this one gave no sign for")
        assert file.read_bytes() == b"new"
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()  # it gave back nothing of ours
        assert list(tmp_path.rglob("*.part")) == []


def test_who_slept_until_another_was_done_stops_too(tmp_path, stopped, monkeypatch):
    monkeypatch.setattr(lock, "BEAT", BEAT)
    monkeypatch.setattr(lock, "STALE", STALE)
    time.sleep(STALE + 0.2)
    with locked(tmp_path):
        write_atomic(tmp_path / "inner" / "file", b"new")
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(60) == 7
    assert (tmp_path / "inner" / "file").read_bytes() == b"new"
    assert not (tmp_path / LOCK).exists()


def test_who_slept_and_was_not_taken_over_goes_on(tmp_path, stopped):
    time.sleep(3 * BEAT)
    (tmp_path / "inner" / "file").unlink()
    stopped.send_signal(signal.SIGCONT)
    until((tmp_path / "inner" / "file").exists)
    assert stopped.poll() is None


@pytest.fixture
def slept(monkeypatch):
    """A heartbeat that never comes by itself, so that every question reads the lock."""
    monkeypatch.setattr(lock, "BEAT", 1000.0)
    moment = time.time()
    monkeypatch.setattr(lock.time, "time", lambda: moment)

    def sleep() -> None:
        nonlocal moment
        moment += 10_000

    return sleep


def test_a_lock_of_another_with_the_same_inode_is_not_ours(tmp_path: Path, slept):
    """File systems give the number of a removed file to the next one."""
    with locked(tmp_path):
        path = tmp_path / LOCK
        path.write_text(json.dumps({**json.loads(path.read_text()), "token": "another"}))
        write_atomic(tmp_path / "before", b"")  # the last sign is recent: nobody can have taken over
        slept()
        with pytest.raises(LockLostError):
            write_atomic(tmp_path / "after", b"")
        with pytest.raises(LockLostError):
            demand_ownership(tmp_path / "inner")
        write_atomic(tmp_path.parent / "outside", b"")
    assert path.exists()
    assert (tmp_path / "before").exists()
    assert not (tmp_path / "after").exists()


def test_after_the_lock_the_folder_is_anybodys(tmp_path: Path, slept):
    with locked(tmp_path):
        slept()
        write_atomic(tmp_path / "one", b"")  # still ours
    write_atomic(tmp_path / "two", b"")
    shutil.rmtree(tmp_path)
