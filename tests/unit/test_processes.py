"""Processes end together, and one at a time works in a run's folder."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from layeratlas.core.errors import StoreError
from layeratlas.core.processes import Terminated, module_command, parallel, stoppable
from layeratlas.runs.lock import LOCK, holder, locked

WORK = """
import os, sys, time, typer
from pathlib import Path
from layeratlas.cli.errors import one_line
from layeratlas.core.processes import parallel

def work(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

@app.command()
def main(folder: str):
    with one_line():
        list(parallel(work, [(folder,)] * 4, processes=True))

app()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGTERM, 143, "layeratlas: terminated; finished work is kept, run the same command again to resume\n"),
        (signal.SIGHUP, 129, "layeratlas: terminated; finished work is kept, run the same command again to resume\n"),
        (signal.SIGINT, 130, "layeratlas: interrupted; finished work is kept, run the same command again to resume\n"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_workers_end_with_their_parent(tmp_path, number, code, line):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as under nohup")
    script, workers = tmp_path / "work.py", tmp_path / "workers"
    script.write_text(WORK)
    workers.mkdir()
    process = subprocess.Popen([sys.executable, script, workers], stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: any(workers.iterdir()))
    pids = [int(path.name) for path in workers.iterdir()]
    process.send_signal(number)
    assert process.wait(30) == code
    assert wait_until(lambda: not any(map(alive, pids)), 10)
    with process.stderr as stderr:
        printed = stderr.read()
    # What is killed cleans nothing up, and the libraries underneath say so.
    assert number == signal.SIGKILL or printed == line


def test_values_come_in_order_from_threads():
    assert list(parallel(pow, [(2, n) for n in range(20)], processes=False)) == [2**n for n in range(20)]


def test_threads_are_given_no_more_than_is_soon_used_and_end_at_the_first_error():
    given = []

    def numbers():
        for n in range(1000):
            given.append(n)
            yield (n,)

    results = parallel(lambda n: 1 // (5 - n), numbers(), processes=False)
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert len(given) < 1000


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_is_an_interrupt_only_while_it_is_asked_for():
    def stop_here() -> None:
        with stoppable():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(Terminated) as caught:
        stop_here()
    assert isinstance(caught.value, KeyboardInterrupt)
    assert caught.value.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def write_lock(folder: Path, **holder: object) -> Path:
    (folder / LOCK).write_text(json.dumps({"host": platform.node(), "pid": os.getppid(), "started": "then"} | holder))
    return folder / LOCK


def test_a_second_process_is_refused_and_leaves_the_lock(tmp_path):
    lock = write_lock(tmp_path)
    with pytest.raises(StoreError, match=rf"is in use by process {os.getppid()} on .*, since then; .*; wait until"):
        locked(tmp_path).__enter__()
    assert lock.exists()


def test_one_process_holds_a_folder_once(tmp_path):
    with locked(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / LOCK).read_text())["pid"] == os.getpid()
        with pytest.raises(StoreError, match="is in use by process"):
            locked(tmp_path / "run").__enter__()
    assert not (tmp_path / "run").exists()  # made for the lock, and empty
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("holder", "age"),
    [
        ({"pid": dead_pid()}, 0),  # killed on this host
        ({"pid": os.getpid()}, 0),  # the same id in a container that is no more
        ({"host": "elsewhere"}, 1000),  # silent for minutes
    ],
)
def test_a_stale_lock_is_taken_over(tmp_path, holder, age):
    lock = write_lock(tmp_path, **holder)
    os.utime(lock, (time.time() - age,) * 2)
    with locked(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_lock_that_is_just_being_written_is_held(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with pytest.raises(StoreError, match="is in use by process"):
        locked(tmp_path).__enter__()


def test_a_lock_on_another_host_is_held_while_its_heart_beats(tmp_path):
    write_lock(tmp_path, host="elsewhere", pid=1)
    with pytest.raises(StoreError, match="is in use by process 1 on elsewhere"):
        locked(tmp_path).__enter__()


@pytest.mark.parametrize("ahead", [1200, -1200, 10**6])
def test_a_lock_is_held_by_the_clock_of_its_files_whatever_this_machine_s_shows(tmp_path, monkeypatch, ahead):
    write_lock(tmp_path, host="elsewhere", pid=1)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    assert holder(tmp_path)["host"] == "elsewhere"
    with pytest.raises(StoreError, match="is in use by process 1 on elsewhere"):
        locked(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


def test_of_many_that_find_a_stale_lock_one_takes_it(tmp_path):
    write_lock(tmp_path, pid=dead_pid())
    ready, tried, got = threading.Barrier(8), threading.Barrier(8), []

    def take() -> None:
        ready.wait()
        try:
            with locked(tmp_path):
                got.append(1)
                tried.wait(60)
        except StoreError:
            got.append(0)
            tried.wait(60)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(got) == 1
    assert len(got) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("trial", range(10))
def test_of_many_processes_that_find_a_stale_lock_one_takes_it(tmp_path, trial):
    lock = write_lock(tmp_path, pid=dead_pid())
    context = multiprocessing.get_context("fork")
    ready, tried, results = context.Barrier(6), context.Barrier(6), context.SimpleQueue()

    def take() -> None:
        ready.wait()
        try:
            with locked(tmp_path):
                results.put(json.loads(lock.read_text())["pid"] == os.getpid())
                tried.wait(60)
        except StoreError:
            results.put(None)
            tried.wait(60)

    workers = [context.Process(target=take) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    outcomes = [results.get() for _ in workers]
    assert sorted(outcomes, key=str) == [None] * 5 + [True]
    assert not lock.exists()


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "a link to itself", "a file of the future"])
def test_what_is_no_lock_in_its_place_is_taken_over(tmp_path, kind):
    path = tmp_path / LOCK
    if kind == "a directory":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to itself":
        path.symlink_to(path)
    else:
        path.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
        os.utime(path, (4e9, 4e9))
    with locked(tmp_path):
        assert path.is_file()
    assert not path.exists()


def test_a_directory_with_files_in_the_locks_place_is_named(tmp_path):
    (tmp_path / LOCK).mkdir()
    (tmp_path / LOCK / "x").touch()
    with pytest.raises(StoreError, match="is a directory with files in it; expected a lock"), locked(tmp_path):
        pass


@pytest.mark.parametrize("looks_here", [False, True])
def test_a_started_module_finds_the_packages_of_this_process_and_not_a_file_of_the_user_s(
    tmp_path, monkeypatch, looks_here
):
    """Where this process imports from its folder, as in a notebook, what it starts does too."""
    (tmp_path / "this.py").write_text("print('the file of the user')")
    monkeypatch.chdir(tmp_path)
    path = [name for name in sys.path if name not in ("", str(tmp_path))]
    monkeypatch.setattr(sys, "path", ["", *path] if looks_here else path)
    printed = subprocess.run(module_command("this"), capture_output=True, text=True, check=True).stdout
    assert printed.startswith("the file of the user" if looks_here else "The Zen of Python")
    (tmp_path / "removed").mkdir()
    monkeypatch.chdir(tmp_path / "removed")
    (tmp_path / "removed").rmdir()
    assert ("-P" in module_command("this")) != looks_here


def test_processes_of_joblib_import_no_file_of_the_user_s(tmp_path):
    script, here = tmp_path / "script.py", tmp_path / "here"
    here.mkdir()
    (here / "queue.py").write_text("raise RuntimeError('the file of the user')")
    lines = ["import os", "from layeratlas.core.processes import parallel", "if __name__ == '__main__':"]
    lines += ["    print(list(parallel(abs, [(-1,), (-2,)], processes=True)), os.environ.get('PYTHONSAFEPATH'))"]
    script.write_text("\n".join(lines))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[1, 2] None\n", done.stderr[-500:]


CHILD = """
import os, sys, time
from pathlib import Path
from layeratlas.core.processes import end_with, stoppable
folder, parent, grace = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
end_with(parent, grace)
with stoppable():
    while True:
        try:
            (folder / "pid").write_text(str(os.getpid()))
            time.sleep(60)
        except KeyboardInterrupt:
            (folder / "stopped").touch()
            if grace > 10:
                raise
"""
PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2], str(os.getpid()), sys.argv[3]])
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize(("grace", "stopped"), [(30.0, True), (0.5, True), (0.0, False)])
def test_a_process_whose_parent_has_ended_stops_like_by_ctrl_c_if_it_has_time_and_ends_in_any_case(
    tmp_path, grace, stopped
):
    """One with the least time goes on after the interrupt, and is ended."""
    command = [sys.executable, "-c", PARENT, CHILD, str(tmp_path), str(grace)]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    known = tmp_path / "pid"
    assert wait_until(lambda: known.exists() and known.read_text())
    child = int(known.read_text())
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not alive(child), 20)
    assert (tmp_path / "stopped").exists() == stopped
