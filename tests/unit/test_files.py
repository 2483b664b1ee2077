"""A file is whole or as it was before, whatever happens while it is written."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import time
from pathlib import Path

import pytest

import layeratlas
from layeratlas.core.checksums import digest_of, is_whole
from layeratlas.core.errors import StoreError
from layeratlas.core.files import read_json, sha256_file, sweep_parts, write_atomic, write_json
from layeratlas.core.progress import Progress
from layeratlas.core.spec import RunSpec
from layeratlas.data.items import Dataset, Item
from layeratlas.runs import identity
from layeratlas.runs.workspace import Workspace
from processes import dead_pid


def fail_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(path.parent) == ["file.bin"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_umask_is_respected(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomic(tmp_path / "file.bin", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file.bin").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_directory_in_a_files_place_goes_only_where_it_is_empty(tmp_path):
    (tmp_path / "file.bin").mkdir()
    write_atomic(tmp_path / "file.bin", b"x")
    assert (tmp_path / "file.bin").read_bytes() == b"x"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept")
    with pytest.raises(StoreError, match=r"full' is a directory with files in it; .*; move the directory away"):
        write_atomic(tmp_path / "full", b"x")
    assert (tmp_path / "full" / "mine").read_text() == "kept"
    assert names(tmp_path) == ["file.bin", "full"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_any_step_leaves_the_old_content_and_no_part(tmp_path, monkeypatch, step):
    path = tmp_path / "file.bin"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, step, fail_with(errno.EIO))
    with pytest.raises(StoreError, match=r"cannot write '.*file\.bin': .*; expected a folder that can be written"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_in_one_line(tmp_path, monkeypatch, step, code):
    path = tmp_path / "file.bin"
    monkeypatch.setattr(os, step, fail_with(code))
    message = r"the disk is full: 2\.5 MB for 'file\.bin' did not fit in .*; free some space or use --out"
    with pytest.raises(StoreError, match=message) as caught:
        write_atomic(path, bytes(2_500_000))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3
    assert names(tmp_path) == []


def test_an_interrupt_leaves_the_old_content_and_no_part(tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    write_atomic(path, b"old")

    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_atomic(tmp_path / "taken" / "file.bin", b"x")


def test_json_comes_back_and_is_readable(tmp_path):
    value = {"name": "Käse", "n": [1, 2.5, None, True]}
    write_json(tmp_path / "v.json", value)
    assert read_json(tmp_path / "v.json") == value
    assert "Käse" in (tmp_path / "v.json").read_text(encoding="utf-8")


def test_json_that_is_missing_or_broken_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"none\.json' does not exist; expected a run folder; check the path"):
        read_json(tmp_path / "none.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(StoreError, match=r"cut\.json' cannot be read \(.*\); expected JSON written by layeratlas"):
        read_json(tmp_path / "cut.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match=r"bytes\.json' cannot be read"):
        read_json(tmp_path / "bytes.json")


def test_a_pipe_or_a_device_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless"):
        assert digest_of(tmp_path / name) == ""
        assert not is_whole(tmp_path / name)
        with pytest.raises(StoreError, match="it is not a regular file"):
            read_json(tmp_path / name)


def test_only_parts_are_swept(tmp_path):
    no_process = f".{10**20}@{platform.node()}@x.part"  # no system has such a number
    for name in (".file.bin.x.part", no_process, "file.part", "file.bin"):
        (tmp_path / name).write_text("")
    sweep_parts(tmp_path)
    assert names(tmp_path) == ["file.bin", "file.part"]
    sweep_parts(tmp_path / "nothing")


def test_the_checksum_is_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"abc" * 100_000)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_folder_whose_first_write_was_cut_short_is_still_new(tmp_path):
    items = tuple(Item(f"text {i}", "yes" if i % 2 else "no", f"group {i}") for i in range(8))
    (tmp_path / ".run.json.abc.part").write_text("{")
    work = Workspace(tmp_path, RunSpec(), [Dataset("own", "own", items)], Progress())
    assert work.manifest["status"] == "running"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    (tmp_path / "run.json").rename(tmp_path / "notes.txt")
    with pytest.raises(StoreError, match="is not empty and holds no run"):
        Workspace(tmp_path, RunSpec(), [Dataset("own", "own", items)], Progress())


@pytest.fixture
def release(monkeypatch):
    """Return a function that gives the installed package a version, and its code a digest."""

    def set_to(version: str, code: str) -> None:
        known = identity.version_of
        monkeypatch.setattr(identity, "version_of", lambda name: version if name == "layeratlas" else known(name))
        monkeypatch.setattr(identity, "code_digest", lambda *folders: code)

    return set_to


def begun(folder: Path) -> Workspace:
    """Open a run's folder, with something in it that another run must not reuse."""
    items = tuple(Item(f"text {i}", "yes" if i % 2 else "no", f"group {i}") for i in range(8))
    work = Workspace(folder, RunSpec(), [Dataset("own", "own", items)], Progress())
    (folder / "scores").mkdir(exist_ok=True)
    (folder / "scores" / "own.safetensors").touch()
    return work


def test_a_folder_of_a_development_version_is_for_one_state_of_the_code(tmp_path, release):
    release("1.2.0.dev0", "a" * 64)
    key = begun(tmp_path).key
    assert begun(tmp_path).key == key
    release("1.2.0.dev0", "b" * 64)
    with pytest.raises(StoreError, match=r"holds another run .versions.code 'aaaaaaaaaaaa' -> 'bbbbbbbbbbbb'") as error:
        begun(tmp_path)
    assert error.value.todo.startswith("choose another --out or remove that folder, or go back to the code that began")


def test_a_folder_of_a_release_is_for_its_version_whatever_its_code(tmp_path, release):
    release("1.2.0", "a" * 64)
    key = begun(tmp_path).key
    release("1.2.0", "b" * 64)
    assert begun(tmp_path).key == key
    assert "code" not in identity.versions()
    release("1.2.1", "b" * 64)
    with pytest.raises(StoreError, match=r"versions.layeratlas '1.2.0' -> '1.2.1'") as error:
        begun(tmp_path)
    assert error.value.todo == "choose another --out or remove that folder"


def test_the_code_that_decides_numbers_is_every_folder_but_those_that_show_them():
    package = Path(layeratlas.__file__).parent
    folders = {path.name for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    shown = {"api", "cli", "comparison", "planning", "report", "sweeps", "validation"}
    assert set(identity._CODE) == folders - shown


@pytest.mark.parametrize(
    ("writer", "here", "age", "kept"),
    [
        ("another", True, 0, True),
        ("another", True, 301, False),
        ("dead", True, 0, False),
        ("own", True, 0, False),  # of a former container, whose process had the same number
        ("dead", False, 0, True),
        ("dead", False, 301, False),
    ],
)
def test_what_another_process_is_writing_is_not_swept(tmp_path, writer, here, age, kept):
    pid = {"another": os.getppid, "dead": dead_pid, "own": os.getpid}[writer]()
    path = tmp_path / f".{pid}@{platform.node() if here else 'other-host'}@0123456789abcdef.part"
    path.touch()
    before = path.stat().st_mtime - age
    os.utime(path, (before, before))
    sweep_parts(tmp_path)
    assert path.exists() is kept


def test_what_another_machine_is_writing_is_not_swept_by_one_whose_clock_is_ahead(tmp_path, monkeypatch):
    path = tmp_path / ".1@other-host@0123456789abcdef.part"
    path.touch()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 1200)
    sweep_parts(tmp_path)
    assert [left.name for left in tmp_path.iterdir()] == [path.name]
