"""A shared folder opens as the run that it was, and holds nothing that its owner did not mean to publish."""

from __future__ import annotations

import json
import os
import re
import sys
import types
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import chats
import fake_run
import families
import layeratlas as la
from layeratlas.api import shared_contents, sharing
from layeratlas.api.public import NOT_SHARED, public_manifest, shortened
from layeratlas.cli.app import app
from layeratlas.core import registry
from layeratlas.core.checksums import digest_of, write_sealed
from layeratlas.core.errors import SpecError, StoreError
from layeratlas.runs.published import Published

SECRET = "nobody but me reads this"
HOME = "/home/me/private"
# What may be read in a shared run of inputs whose every part holds a mark: the names that the user chose.
NAMES = {"MARKMODEL", "MARKFILE", "MARKSTRATUM", "MARKTUNED"}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run on a file of the user's, with vectors, texts and scores, every file under its checksum."""
    folder = fake_run.write_run(tmp_path / "mine")
    (folder / "items").mkdir()
    (folder / "scores").mkdir()
    (folder / "activations").mkdir()
    pl.DataFrame({"text": [SECRET], "where": [f"'{HOME}/own.csv', line 2"]}).write_parquet(folder / "items/own.parquet")
    (folder / "scores/own.safetensors").write_bytes(b"scores")
    (folder / "activations/resid.safetensors").write_bytes(b"vectors")
    (folder / "notes.parquet").write_bytes(SECRET.encode())
    manifest = json.loads((folder / "run.json").read_text())
    manifest["spec"]["data"] = [f"{HOME}/own.csv"]
    manifest["spec"]["model"] |= {"id": f"{HOME}/model", "adapter": f"{HOME}/adapter", "system": SECRET}
    manifest["model"] |= {"id": f"{HOME}/model", "source": "directory", "files_not_read": [f"{HOME}/model/notes.txt"]}
    manifest["dropped"] = {"own": {"n": 1, "share": 0.1, "rows": [{"where": "row 3", "why": SECRET}]}}
    manifest["unfit"] = {"sets": {"other": f"'{HOME}/own.csv', line 2, {SECRET}"}, "rows": {}}
    manifest["chat_example"] = {"rendered": SECRET, "read": "the last token"}
    manifest["key"] = "0" * 16
    written = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != "run.json"]
    files = {name: digest_of(folder / name) for name in written if (folder / name).is_file()}
    manifest["stages"]["analysis"] |= {"sha256": files, "outputs": list(files)}
    write_sealed(folder / "run.json", manifest)
    return folder


def blank(folder: Path) -> None:
    """Write a page without drawing anything: for tests that look at other things."""
    (folder / "report.html").write_text("the page")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "report", blank)


def bytes_of(folder: Path) -> bytes:
    """Return the names and bytes of all files of a folder; tables decompressed."""
    found = b""
    for path in folder.rglob("*"):
        found += path.relative_to(folder).as_posix().encode()
        if path.suffix == ".parquet" and path.name != "notes.parquet":
            found += pl.read_parquet(path).write_json().encode()
        elif path.is_file():
            found += path.read_bytes()
    return found


def marks_in(folder: Path) -> set[str]:
    return {mark.decode() for mark in re.findall(rb"MARK[A-Z]+", bytes_of(folder))}


def inputs(folder: Path) -> Path:
    """Write a model and files of texts, questions and passages into a folder, each part with its mark."""
    here = folder / "MARKFOLDER"
    config = families.FAMILIES["llama"]()
    config.max_position_embeddings, config.num_hidden_layers = 1024, 6
    families.save(here / "MARKMODEL", config)
    chats.set_template(here / "MARKMODEL", chats.PLAIN)
    rows = [f"MARKTEXT {w} number {i},MARKLABEL {w},MARKGROUP {i}" for i in range(8) for w in ("warm", "cold")]
    (here / "MARKFILE.csv").write_text("\n".join(["text,label,group", *rows]))
    asked = [
        {"question": f"MARKQUESTION {i} is", "choices": ["MARKCHOICE even", "MARKCHOICE odd"], "answer": i % 2}
        for i in range(12)
    ]
    asked = [row | {"group": f"MARKGROUP {i}", "stratum": f"MARKSTRATUM {i % 2}"} for i, row in enumerate(asked)]
    (here / "MARKFILE.jsonl").write_text("\n".join(map(json.dumps, asked)))
    passages = [f"MARKPASSAGE {i}. " + "The river rose and the town slept. " * 3 for i in range(8)]
    for name in ("MARKFILE.txt", "MARKTUNED.txt"):
        (here / name).write_text("\n\n".join(passages))
    return here


CHAT: dict[str, Any] = {"chat": True, "system": "MARKSYSTEM", "chat_options": {"mood": "MARKOPTION", "brief": True}}
LIGHT = {"methods": ("ridge",), "repeats": 1, "shuffles": 20, "bootstrap": 100}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "hierarchy": ("MARKFILE.csv", {"probe": LIGHT, "settings": {"positions": True}, **CHAT}),
    "exits": ("MARKFILE.jsonl", {"settings": {"format": "free", "shots": 0, "tuned": True}, **CHAT}),
    "segments": (
        "MARKFILE.txt",
        {"settings": {"tokens": 48, "draws": 100, "surrogates": 99, "generate": True, "prompts": 6, "new_tokens": 8}},
    ),
    "causal": ("MARKFILE.csv", {"probe": {"bootstrap": 100}, "settings": {"prompts": 4, "points": 2}}),
}
# What a run keeps of its texts.
KEPT = {
    "hierarchy": {"MARKTEXT", "MARKLABEL", "MARKGROUP", "MARKSYSTEM", "MARKOPTION"},
    "exits": {"MARKQUESTION", "MARKCHOICE", "MARKGROUP", "MARKSYSTEM"},
    "segments": {"MARKFILE"},
    "causal": {"MARKTEXT", "MARKLABEL"},
}
SLOW = [pytest.param(study, marks=pytest.mark.truth) for study in ("hierarchy", "segments")]


@pytest.mark.parametrize("study", ["exits", "causal", *SLOW])
def test_nothing_that_a_real_run_read_is_shared_but_names(study: str, tmp_path: Path, monkeypatch: Any) -> None:
    here = inputs(tmp_path)
    file, options = CASES[study]
    if study == "exits":
        options["settings"]["tuned_on"] = str(here / "MARKTUNED.txt")
    kind = type(registry.get("studies", study))
    stages = kind().stages()
    monkeypatch.setattr(kind, "stages", lambda self: {name: stages[name] for name in stages if name != "report"})
    run = la.run(
        study, model=str(here / "MARKMODEL"), size="quick", data=[str(here / file)], out=here / "run", **options
    )
    shared = la.share(run)
    assert marks_in(shared) <= NAMES
    assert {"MARKMODEL", "MARKFILE"} <= marks_in(shared)
    # All names that can be read in it are listed where it is shared, and in its card.
    assert set(re.findall("MARK[A-Z]+", shared_contents(shared))) == marks_in(shared)
    assert shared_contents(shared) in (shared / "README.md").read_text()
    assert la.load(shared).findings.equals(run.findings)
    # The control: with texts, what the run kept of them is there; paths of this machine are not.
    monkeypatch.setattr(sharing, "report", blank)
    marks = marks_in(la.share(run, here / "with texts", texts=True))
    assert KEPT[study] <= marks
    assert "MARKFOLDER" in marks_in(run.folder)
    assert "MARKFOLDER" not in marks


def test_a_shared_run_opens_with_equal_tables_and_without_texts_paths_and_vectors(run: Path, monkeypatch: Any) -> None:
    shared = la.share(run)
    opened = la.load(shared)
    assert opened.curves.equals(la.load(run).curves)
    assert opened.findings.equals(la.load(run).findings)
    held = bytes_of(shared)
    assert SECRET.encode() not in held
    assert HOME.encode() not in held
    assert {path.name for path in shared.iterdir() if path.is_dir()} == {"scores", "figures"}
    assert opened.manifest["spec"]["data"] == ["own.csv"]
    assert opened.manifest["dropped"]["own"]["n"] == 1
    assert opened.manifest["spec"]["model"]["system"].startswith(f"{NOT_SHARED}, SHA-256 ")
    assert "texts themselves are not included" in (shared / "README.md").read_text()
    # The control: these are in the run, and the first with `texts` in what is shared too.
    assert SECRET.encode() in bytes_of(run)
    assert HOME.encode() in bytes_of(run)
    monkeypatch.setattr(sharing, "report", blank)
    again = la.share(run, run.parent / "with texts", texts=True)
    assert pl.read_parquet(again / "items/own.parquet").row(0) == (SECRET, "'own.csv', line 2")
    assert HOME.encode() not in bytes_of(again)
    la.load(again).verify(la.load(again).output_names)


def test_a_field_that_no_list_names_is_not_published() -> None:
    """Every string of a manifest is private until its place is listed, and so is every record."""
    manifest: dict[str, Any] = {
        "spec": {"model": {"id": "m", "new": SECRET}, "settings": {"note": SECRET, "n": 3}, "data": ["a.csv"]},
        "model": {"name": "m", "new": [SECRET], "width": 8},
        "datasets": [{"name": "a", "classes": {SECRET: 4}, "sample": SECRET}],
        "my record": {SECRET: 1},
        "stages": {"s": {"seconds": 1.0, "log": SECRET}},
    }
    public = public_manifest(manifest, Published(), texts=False)
    assert SECRET not in json.dumps(public)
    assert public["spec"]["settings"] == {"note": NOT_SHARED, "n": 3}
    assert public["datasets"] == [{"name": "a", "classes": {"class 1": 4}, "sample": NOT_SHARED}]
    listed = Published(records=frozenset({"my record"}), words=("spec.settings.note",))
    public = public_manifest(manifest, listed, texts=False)
    assert public["spec"]["settings"]["note"] == SECRET
    assert public["my record"] == {SECRET: 1}


def test_files_that_settings_name_are_published_by_name() -> None:
    given = {"tuned_on": f"{HOME}/some.txt", "translators": f"{HOME}/lens.safetensors", "exits": "0,2"}
    manifest = {
        "spec": {"model": {"id": "m", "adapter": f"{HOME}/lora"}, "settings": given, "data": [f"{HOME}/a.csv#column"]},
        "model": {"name": "m", "files": {"adapter/adapter_model.safetensors": "0" * 8}},
        "tuned": {"from": f"{HOME}/lens.safetensors"},
    }
    exits = registry.get("studies", "exits").published
    for texts in (False, True):
        public = public_manifest(manifest, exits, texts=texts)
        assert public["spec"]["settings"] == {
            "tuned_on": "some.txt",
            "translators": "lens.safetensors",
            "exits": "0,2",
        }
        assert public["spec"]["data"] == ["a.csv#column"]
        assert (public["spec"]["model"]["adapter"], public["tuned"]["from"]) == ("lora", "lens.safetensors")


def test_the_methods_of_a_shared_run_say_which_tool_wrote_its_prompts() -> None:
    sets = [{"name": "quiz", "prompts": "lm-evaluation-harness 0.4", "shots": 0, "sample": SECRET}]
    manifest = {"spec": {"model": {"id": "m"}, "data": ["a.csv"]}, "model": {"name": "m"}, "datasets": sets}
    public = public_manifest(manifest, registry.get("studies", "exits").published, texts=False)
    assert public["datasets"] == [sets[0] | {"classes": {}, "sample": NOT_SHARED}]


def test_home_is_replaced_where_a_path_begins_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h/ada")
    short = shortened({"model": {"name": "m"}, "spec": {}}, Published())
    kept = ["/h/adam/thing", "/h/ada.old/x", "/h/ada-2", "/x/h/ada/thing"]
    assert [short(text) for text in kept] == kept
    homes = ["/h/ada", "/h/ada/thing", "'/h/ada', line 2", "in /h/ada.", "file:///h/ada/a /h/ada/b"]
    assert [short(text) for text in homes] == ["~", "~/thing", "'~', line 2", "in ~.", "file://~/a ~/b"]


def test_a_damaged_file_is_not_shared_and_a_full_folder_is_not_touched(run: Path, undrawn: None) -> None:
    other = run.parent / "other"
    other.mkdir()
    (other / "notes").write_text("mine")
    with pytest.raises(StoreError, match="is not empty; expected a new or empty folder"):
        la.share(run, other)
    for name, texts in (("curves.parquet", False), ("scores/own.safetensors", False), ("items/own.parquet", True)):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(b"changed")
        with pytest.raises(StoreError, match="changed or damaged"):
            la.share(run, texts=texts)
        (run / name).write_bytes(whole)
    assert not (run.parent / "mine-shared").exists()
    assert [path.name for path in other.iterdir()] == ["notes"]


def test_the_folder_that_one_stands_in_is_shared_beside_it(run: Path, undrawn: None, monkeypatch: Any) -> None:
    monkeypatch.chdir(run)
    part = run.with_name(".mine-shared.part")
    part.mkdir()
    (part / "left").write_text(SECRET)  # by a share that was killed
    done = CliRunner().invoke(app, ["share", "."])
    assert done.exit_code == 0
    *listed, path = done.output.splitlines()
    assert Path(path) == run.with_name("mine-shared")
    assert "\n".join(listed) == shared_contents(path)
    assert "own.csv" in done.output
    assert "left" not in os.listdir(path)
    assert not part.exists()
    again = CliRunner().invoke(app, ["share", path])
    assert again.exit_code != 0
    assert "is a shared copy; expected the folder of the run itself" in again.output


def test_a_folder_is_uploaded_only_when_asked_and_a_failed_upload_is_tried_again(
    run: Path, undrawn: None, monkeypatch: Any
) -> None:
    calls: list[tuple[Any, ...]] = []

    class Client:
        closed = False

        def create_repo(self, name: str, **options: Any) -> None:
            calls.append(("create", name, options["private"]))

        def upload_folder(self, *, repo_id: str, repo_type: str, folder_path: str, allow_patterns: list[str]) -> None:
            calls.append(("upload", repo_id, sorted(allow_patterns)))
            if Client.closed:
                raise OSError("401: not logged in\ntrace")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(HfApi=Client))
    la.share(run, run.parent / "a")
    assert calls == []
    la.share(run, run.parent / "b", upload="me/atlas")
    assert calls[0] == ("create", "me/atlas", True)
    assert {"README.md", "run.json", "curves.parquet", "report.html"} <= set(calls[1][2])
    assert "hf://datasets/me/atlas/curves.parquet" in (run.parent / "b/README.md").read_text()
    Client.closed = True
    with pytest.raises(StoreError, match=r"was written, but not uploaded to 'me/closed' \(401: not logged in\)"):
        la.share(run, run.parent / "c", upload="me/closed")
    assert (run.parent / "c/report.html").is_file()
    # The same call uploads what was written then, without what lies beside it; another call does not.
    Client.closed = False
    (run.parent / "c/.0123.part").write_text("half")
    (run.parent / "c/my notes").write_text(SECRET)
    la.share(run, run.parent / "c", upload="me/open")
    assert calls[-1] == ("upload", "me/open", calls[1][2])
    assert "hf://datasets/me/open/curves.parquet" in (run.parent / "c/README.md").read_text()
    with pytest.raises(StoreError, match="is not empty"):
        la.share(run, run.parent / "c", upload="me/open", texts=True)
    (run.parent / "c/curves.parquet").write_bytes(b"changed")
    with pytest.raises(StoreError, match="changed or damaged"):
        la.share(run, run.parent / "c", upload="me/open")
    with pytest.raises(SpecError, match="expected OWNER/NAME"):
        la.share(run, run.parent / "d", upload="atlas")
    assert not (run.parent / "d").exists()
