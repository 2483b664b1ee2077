"""A shared folder opens as the run that it was, and holds nothing that its owner did not mean to publish."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import fake_run
import layeratlas as la
from layeratlas.api import sharing
from layeratlas.core.checksums import digest_of, write_sealed
from layeratlas.core.errors import SpecError, StoreError

SECRET = "nobody but me reads this"
HOME = "/home/me/private"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run on a file of the user's, with vectors, texts and scores, every file under its checksum."""
    folder = fake_run.write_run(tmp_path / "mine")
    (folder / "items").mkdir()
    (folder / "scores").mkdir()
    (folder / "activations").mkdir()
    pl.DataFrame({"text": [SECRET]}).write_parquet(folder / "items/own.parquet")
    (folder / "scores/own.safetensors").write_bytes(b"scores")
    (folder / "activations/resid.safetensors").write_bytes(b"vectors")
    manifest = json.loads((folder / "run.json").read_text())
    manifest["spec"]["data"] = [f"{HOME}/own.csv"]
    manifest["spec"]["model"]["id"] = manifest["model"]["id"] = f"{HOME}/model"
    manifest["model"]["source"] = "directory"
    manifest["dropped"] = {"own": {"n": 1, "share": 0.1, "rows": [{"where": "row 3", "why": SECRET}]}}
    manifest["chat_example"] = {"rendered": SECRET, "read": "the last token"}
    written = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != "run.json"]
    files = {name: digest_of(folder / name) for name in written if (folder / name).is_file()}
    manifest["stages"]["analysis"] |= {"sha256": files, "outputs": list(files)}
    write_sealed(folder / "run.json", manifest)
    return folder


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_shared_run_opens_with_equal_tables_and_without_texts_paths_and_vectors(run: Path) -> None:
    shared = la.share(run)
    opened = la.load(shared)
    assert opened.curves.equals(la.load(run).curves)
    assert opened.findings.equals(la.load(run).findings)
    held = bytes_of(shared)
    assert SECRET.encode() not in held
    assert HOME.encode() not in held
    assert not (shared / "activations").exists()
    assert not (shared / "items").exists()
    assert opened.manifest["spec"]["data"] == ["own.csv"]
    assert opened.manifest["dropped"]["own"]["n"] == 1
    assert "texts themselves are not included" in (shared / "README.md").read_text()
    # The control: these are in the run, and the first with `texts` in what is shared too.
    assert SECRET.encode() in bytes_of(run)
    assert HOME.encode() in bytes_of(run)
    again = la.share(run, run.parent / "with texts", texts=True)
    assert pl.read_parquet(again / "items/own.parquet")["text"].to_list() == [SECRET]
    assert HOME.encode() not in bytes_of(again)


def test_a_damaged_table_is_not_shared_and_a_full_folder_is_not_touched(run: Path) -> None:
    other = run.parent / "other"
    other.mkdir()
    (other / "notes").write_text("mine")
    with pytest.raises(StoreError, match="is not empty; expected a new or empty folder"):
        la.share(run, other)
    (run / "curves.parquet").write_bytes(b"changed")
    with pytest.raises(StoreError, match="changed or damaged"):
        la.share(run)
    assert not (run.parent / "mine-shared").exists()
    assert [path.name for path in other.iterdir()] == ["notes"]


def test_a_folder_is_uploaded_only_when_asked_and_a_failure_keeps_it(run: Path, monkeypatch: Any) -> None:
    calls: list[tuple[Any, ...]] = []

    class Client:
        def create_repo(self, name: str, **options: Any) -> None:
            calls.append(("create", name, options["private"]))

        def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str) -> None:
            calls.append(("upload", repo_id, sorted(path.name for path in Path(folder_path).iterdir())))
            if repo_id == "me/closed":
                raise OSError("401: not logged in\ntrace")

    monkeypatch.setattr(sharing, "report", lambda folder: (folder / "report.html").write_text("the page"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(HfApi=Client))
    la.share(run, run.parent / "a")
    assert calls == []
    la.share(run, run.parent / "b", upload="me/atlas")
    assert calls[0] == ("create", "me/atlas", True)
    assert {"README.md", "run.json", "curves.parquet", "report.html"} <= set(calls[1][2])
    assert "hf://datasets/me/atlas/curves.parquet" in (run.parent / "b/README.md").read_text()
    with pytest.raises(StoreError, match=r"was written, but not uploaded to 'me/closed' \(401: not logged in\)"):
        la.share(run, run.parent / "c", upload="me/closed")
    assert (run.parent / "c/report.html").is_file()
    with pytest.raises(SpecError, match="expected OWNER/NAME"):
        la.share(run, run.parent / "d", upload="atlas")
    assert not (run.parent / "d").exists()
