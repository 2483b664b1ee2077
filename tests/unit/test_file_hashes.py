"""The kept hash of a large file: read again after every write, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from layeratlas.core.files import sha256_file
from layeratlas.models import files


@pytest.fixture
def large(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file large enough to have its hash kept, which counts as unchanged for long."""
    monkeypatch.setattr(files, "_SETTLED", -60.0)
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(files.SMALLEST))
    return path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read to be hashed."""
    paths: list[Path] = []
    monkeypatch.setattr(files, "sha256_file", lambda path: paths.append(path) or sha256_file(path))
    return paths


def test_a_file_is_read_once(large, read):
    assert {files.digest(large) for _ in range(3)} == {sha256_file(large)}
    assert read == [large]
    assert files.hashes(large.parent) == {large.name: sha256_file(large)}
    assert read == [large]
    assert files.digest(large, anew=True) == sha256_file(large)
    assert read == [large] * 2


def test_a_write_is_noticed_even_where_size_and_time_are_set_back(large, read):
    files.digest(large)
    before = large.stat()
    with large.open("r+b") as file:
        file.write(b"x")
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = large.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert files.digest(large) == sha256_file(large)
    assert len(read) == 2


def test_a_link_that_leads_elsewhere_is_noticed(large, read, tmp_path):
    """The hub client keeps files as links to blobs."""
    link, other = tmp_path / "link", tmp_path / "other"
    other.write_bytes(b"x" * files.SMALLEST)
    for blob in (large, other):
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
        assert files.digest(link) == sha256_file(blob)
    assert files.digest(link) == files.digest(other)
    assert len(read) == 2


def test_a_file_that_was_just_written_is_read_again(large, read, monkeypatch):
    """A write within the same tick of the clock would leave no other time."""
    monkeypatch.setattr(files, "_SETTLED", 60.0)
    assert {files.digest(large) for _ in range(2)} == {sha256_file(large)}
    assert len(read) == 2


def test_a_damaged_receipt_is_not_believed(large, read, own_cache):
    files.digest(large)
    (receipt,) = (own_cache / "hashes").iterdir()
    receipt.write_text(receipt.read_text().replace(sha256_file(large), "0" * 64))
    assert files.digest(large) == sha256_file(large)
    assert len(read) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(large, read, monkeypatch):
    monkeypatch.setenv("LAYERATLAS_CACHE", os.devnull)
    assert {files.digest(large) for _ in range(2)} == {sha256_file(large)}
    assert len(read) == 2


def test_what_decides_no_number_is_no_other_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "smollm2-135m"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("{}")
    recorded = files.hashes(model)
    (model / "notes.txt").write_text("mine")
    assert files.changed_files(str(model), None, recorded) == []
    (model / "model.safetensors").unlink()  # to free space, once the run is finished
    assert files.changed_files(str(model), None, recorded) == []
    (model / "tokenizer.json").write_text("{ }")
    (model / "model-00001-of-00001.safetensors").write_text("others")
    changed = ["model-00001-of-00001.safetensors", "tokenizer.json"]
    assert files.changed_files(str(model), None, recorded) == changed
    # The built-in model is not the folder of its name, and a hub model not a folder at all.
    assert files.changed_files("smollm2-135m", None, recorded) == []
    assert files.changed_files("someone/smollm2-135m", None, recorded) == []
