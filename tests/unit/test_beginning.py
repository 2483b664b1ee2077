"""A run that cannot begin leaves its folder to the next command, and leaves what it has not written."""

from __future__ import annotations

from pathlib import Path

import pytest

import small_runs
from layeratlas.core import registry
from layeratlas.core.errors import CaptureError, StoreError
from layeratlas.core.spec import RunSpec
from layeratlas.runs import pipeline
from layeratlas.runs.beginning import clear_beginning
from layeratlas.runs.kept_progress import PROGRESS
from layeratlas.store.disk import DiskStore

STORES = {"hierarchy": "activations", "exits": "exits"}


@pytest.fixture(params=sorted(STORES))
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> RunSpec:
    model = small_runs.model_folder(tmp_path, "llama")
    return small_runs.spec_of(request.param, tmp_path, model, precision="fast")


def run(spec: RunSpec, folder: Path) -> Path:
    return pipeline.execute(registry.get("studies", spec.study), spec, folder)


def fail(spec: RunSpec, folder: Path, monkeypatch: pytest.MonkeyPatch, error=CaptureError) -> None:
    """Run until the first result is to be stored, and fail there."""
    found: list[str] = []

    def refuse(store: DiskStore, *given: object) -> None:
        found.extend(sorted(path.name for path in store.folder.iterdir()))
        raise error("not finite", "finite numbers", "use --dtype float32")

    with monkeypatch.context() as patch:
        patch.setattr(DiskStore, "write", refuse)
        with pytest.raises(error):
            run(spec, folder)
    assert {"manifest.json", "precision.json"} <= set(found)
    assert not any(name.endswith(".safetensors") for name in found)


def other(spec: RunSpec) -> RunSpec:
    return spec.model_copy(update={"seed": 7})


def files(folder: Path) -> dict[str, bytes]:
    kept = [path for path in folder.rglob("*") if path.is_file() and path.name != PROGRESS]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_another_command_can_use_the_folder_of_a_run_that_could_not_begin(spec, tmp_path, monkeypatch):
    fail(spec, tmp_path / "new", monkeypatch)
    assert not (tmp_path / "new").exists()
    (tmp_path / "run").mkdir()  # the user's own, and empty
    fail(spec, tmp_path / "run", monkeypatch)
    assert list((tmp_path / "run").iterdir()) == []
    fail(spec, tmp_path / "run", monkeypatch, KeyboardInterrupt)  # the run stays, and has no result
    assert (tmp_path / "run" / "run.json").is_file()
    if spec.study == "exits":
        assert small_runs.manifest(run(other(spec), tmp_path / "run"))["status"] == "complete"


@pytest.mark.parametrize("kept", ["file", "link", "beside"])
def test_a_run_that_could_not_begin_removes_nothing_of_others(spec, tmp_path, monkeypatch, kept):
    store = tmp_path / "run" / STORES[spec.study]
    fail(spec, tmp_path / "run", monkeypatch, KeyboardInterrupt)
    if kept == "link":
        store.rename(tmp_path / "disk")
        store.symlink_to(tmp_path / "disk")
    else:
        (store if kept == "file" else tmp_path / "run").joinpath("notes.txt").write_text("mine")
    before = files(tmp_path / "run") | files(store.resolve())
    assert not clear_beginning(tmp_path / "run")
    with pytest.raises(StoreError, match="holds another run"):
        run(other(spec), tmp_path / "run")
    assert files(tmp_path / "run") | files(store.resolve()) == before
    fail(spec, tmp_path / "run", monkeypatch)  # it resumes, fails again, and still can be resumed
    assert (tmp_path / "run" / "run.json").is_file()
    assert before.keys() <= (files(tmp_path / "run") | files(store.resolve())).keys()


def test_a_file_that_appears_while_a_run_begins_keeps_the_run(spec, tmp_path, monkeypatch):
    begin = pipeline.Prepared.begin

    def begin_beside(ready: pipeline.Prepared, work: object) -> None:
        begin(ready, work)
        (tmp_path / "run" / "notes.txt").write_text("mine")

    monkeypatch.setattr(pipeline.Prepared, "begin", begin_beside)
    fail(spec, tmp_path / "run", monkeypatch)
    assert {"notes.txt", "run.json"} <= files(tmp_path / "run").keys()
    fail(spec, tmp_path / "run", monkeypatch)  # not refused
