"""A run that is stopped anywhere and started again ends as one that was never stopped, and does nothing twice."""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from commands import FAST, SMALL, Command, fresh, manifest, stamps, tables
from layeratlas.api.places import working_in
from layeratlas.runs.lock import LOCK
from layeratlas.store.bucket import Bucket

PROBE = {"methods": ["ridge"], "repeats": 1, "shuffles": 20, "bootstrap": 100}


@pytest.fixture(scope="session")
def spec(tiny_model_dir):
    """A run of some hundred shards of a few texts and 12 score files: there is time to stop it anywhere."""
    return {
        "study": "hierarchy",
        "size": "quick",
        "tasks": ["items"],
        "model": {"id": str(tiny_model_dir)},
        "capture": {"batch_tokens": 64, "packing": "sorted"},
        "probe": PROBE,
    }


@pytest.fixture(scope="session")
def undisturbed(atlas, spec, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert atlas(out, spec=spec).code == 0
    return out


@pytest.fixture
def copy(undisturbed, tmp_path):
    """A complete run that a test may damage."""
    return Path(shutil.copytree(undisturbed, tmp_path / "run"))


def kept(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the shards, receipts and score files that are finished, with their stamps."""
    # A shard counts with its receipt only.
    return {
        name: stamp
        for name, stamp in stamps(folder).items()
        if name.startswith("scores/")
        or (name.startswith("activations/") and (folder / name).with_suffix(".json").exists())
    }


def written(folder: Path) -> int:
    """Return how many shards and score files there are; files may come and go meanwhile."""
    return len([*folder.glob("activations/*.safetensors"), *folder.glob("scores/*")])


def stop(
    command: Command, now: Callable[[], bool], number: signal.Signals = signal.SIGKILL, seconds: float = 60
) -> int:
    """Send a signal as soon as `now()`; return the exit code."""
    end = time.monotonic() + seconds
    while command.running() and not now():
        assert time.monotonic() < end, "the moment to stop the run never came"
        time.sleep(0.0005)
    command.send(number)
    return command.wait().code


def same(folder: Path, expected: Path) -> None:
    for found, wanted in zip(tables(folder), tables(expected), strict=True):
        assert_frame_equal(found, wanted, check_exact=True)
    for key in ("key", "spec", "datasets"):
        assert manifest(folder)[key] == manifest(expected)[key]
    found, wanted = manifest(folder)["model"], manifest(expected)["model"]
    assert found == wanted
    assert all(identity["passed"] for identity in found["identities"])
    assert not list(folder.rglob("*.part"))


SOME = 30
MOMENTS = {
    "after the first shard": lambda out: any(out.glob("activations/*.safetensors")),
    "among the shards": lambda out: len(list(out.glob("activations/*.safetensors"))) > SOME,
    "after the first score file": lambda out: any(out.glob("scores/*.safetensors")),
    "right before the tables": lambda out: len(list(out.glob("scores/*.safetensors"))) == 12,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_resumed_is_undisturbed(atlas, spec, undisturbed, tmp_path, moment):
    out = tmp_path / "run"
    assert stop(atlas.start(out, spec=spec), lambda: MOMENTS[moment](out)) == -signal.SIGKILL
    assert not (out / "curves.parquet").exists()
    assert manifest(out)["status"] == "running"
    before = kept(out)
    assert len(before) >= (0 if "first shard" in moment else SOME)
    assert atlas(out, spec=spec).code == 0
    after = kept(out)
    assert {name: after[name] for name in before} == before
    assert set(after) == set(kept(undisturbed))
    same(out, undisturbed)


def test_killed_among_packed_shards_and_resumed_is_undisturbed(atlas, spec, tmp_path):
    spec = {**spec, "capture": {}}
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    assert stop(atlas.start(killed, spec=spec), lambda: any(killed.glob("activations/*.safetensors"))) < 0
    before = kept(killed)
    assert atlas(killed, spec=spec).code == 0
    assert atlas(undisturbed, spec=spec).code == 0
    assert {name: kept(killed)[name] for name in before} == before
    same(killed, undisturbed)


def test_killed_again_and_again_is_undisturbed(atlas, spec, undisturbed, tmp_path):
    out, chance = tmp_path / "run", random.Random(5)
    kills = 0
    for _ in range(4):
        before, had = kept(out), written(out)
        command, end = atlas.start(out, spec=spec), time.monotonic() + chance.uniform(0.1, 1.5)
        # A fast machine would end the run before: the first new file is another moment to stop it.
        kills += stop(command, lambda e=end, n=had: time.monotonic() > e or written(out) > n) == -signal.SIGKILL
        after = kept(out)
        assert {name: after[name] for name in before} == before
    assert kills >= 2
    assert atlas(out, spec=spec).code == 0
    same(out, undisturbed)


def test_seconds_of_a_stage_add_up_over_processes(atlas, spec, tmp_path):
    out = tmp_path / "run"
    stop(atlas.start(out, spec=spec), lambda: MOMENTS["after the first score file"](out))
    first = manifest(out)["stages"]["capture"]["seconds"]
    assert atlas(out, spec=spec).code == 0
    stages = manifest(out)["stages"]
    controls = ["random weights", "robustness", "learning curves", "positions", "experts"]
    assert list(stages) == ["capture", "recompute", "probe", *controls, "analyse", "report"]
    assert stages["capture"]["seconds"] == first > 0
    assert all(stage["done"] and stage["peak_memory_mb"] > 0 for stage in stages.values())


def test_interrupted_with_ctrl_c(atlas, tiny_model_dir, tmp_path):
    flags = ("run", "hierarchy", "--model", tiny_model_dir, *SMALL, *FAST, "--out", "run")
    command = atlas.start(*flags, cwd=tmp_path)
    assert stop(command, lambda: MOMENTS["after the first score file"](tmp_path / "run"), signal.SIGINT) == 130
    done = command.wait()
    assert "Traceback" not in done.err
    line = done.err.splitlines()[-1]
    assert line == "layeratlas: interrupted; finished work is kept, run the same command again to resume"
    before = kept(tmp_path / "run")
    assert any(name.startswith("scores/") for name in before)
    again = atlas(*flags, cwd=tmp_path)
    assert again.code == 0
    assert again.out.splitlines()[-1] == "run/report.html"
    assert {name: kept(tmp_path / "run")[name] for name in before} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_terminated_as_with_ctrl_c(atlas, tiny_model_dir, tmp_path, number, code):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as under nohup")
    flags = ("run", "hierarchy", "--model", tiny_model_dir, *SMALL, *FAST, "--quiet", "--out", "run")
    command = atlas.start(*flags, cwd=tmp_path)
    assert stop(command, lambda: MOMENTS["after the first score file"](tmp_path / "run"), number) == code
    line = "layeratlas: terminated; finished work is kept, run the same command again to resume\n"
    assert command.wait().err == line
    assert not (tmp_path / "run" / "run.lock").exists()


def test_a_second_process_on_a_folder_is_refused(atlas, spec, tmp_path):
    out = tmp_path / "run"
    command = atlas.start(out, spec=spec)
    flags = ("run", "hierarchy", "--model", spec["model"]["id"], *SMALL, *FAST, "--quiet", "--out", out)
    found: list[str] = []

    def refused() -> bool:
        found.append(atlas(*flags).err if (out / "run.lock").exists() else "")
        return bool(found[-1])

    assert stop(command, refused) == -signal.SIGKILL
    assert re.fullmatch(r"layeratlas: '.*run' is in use by process \d+ on .*; wait until it ends, .*\n", found[-1])


# What takes longer to import than a finished run takes to answer, or is for other commands.
NOT_NEEDED = {
    *("torch", "transformers", "polars", "altair", "sklearn", "scipy.stats", "jinja2", "psutil", "obstore"),
    *(f"layeratlas.{part}" for part in ("models", "capture", "comparison", "sweeps", "planning", "probes", "store")),
    "layeratlas.studies.hierarchy.stages",
}


def test_a_complete_run_started_again_only_prints(tiny_model_dir, atlas, tmp_path):
    model = shutil.copytree(tiny_model_dir, tmp_path / "gone")
    flags = ("run", "hierarchy", "--model", model, *SMALL, *FAST, "--out", tmp_path / "run")
    first = atlas(*flags)
    assert first.code == 0
    shutil.rmtree(model)
    before = stamps(tmp_path / "run")
    again = fresh(*flags, python=("-X", "importtime"))
    assert (again.code, again.out) == (0, first.out)
    assert stamps(tmp_path / "run") == before
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines() if line.startswith("import time:")}
    assert {"layeratlas.runs.pipeline", "layeratlas.runs.workspace"} <= imported
    assert imported & NOT_NEEDED == set()


def test_a_complete_run_does_without_its_activations(atlas, spec, copy):
    shutil.rmtree(copy / "activations")
    before = stamps(copy)
    assert atlas(copy, spec=spec).code == 0
    assert stamps(copy) == before


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[-len(data) // 4] ^= 1
    path.write_bytes(bytes(data))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def redone(atlas, spec, copy, damaged: list[str]) -> set[str]:
    """Start a damaged run again; return which of its undamaged shards and score files were written again."""
    before = kept(copy)
    assert atlas(copy, spec=spec).code == 0
    after = kept(copy)
    assert set(damaged) <= set(after)
    return {name for name in before if after[name] != before[name]} - set(damaged)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_score_file_is_redone_alone(atlas, spec, undisturbed, copy, damage):
    damage(copy / "scores" / "animal.attn.safetensors")
    assert redone(atlas, spec, copy, ["scores/animal.attn.safetensors"]) == set()
    same(copy, undisturbed)


@pytest.mark.parametrize(
    ("part", "damage"), [("shard", cut), ("shard", flip), ("shard", Path.unlink), ("receipt", cut)]
)
def test_a_damaged_shard_is_redone_alone_when_it_is_needed(atlas, spec, undisturbed, copy, part, damage):
    shard = sorted((copy / "activations").glob("*.safetensors"))[3]
    damaged = [f"activations/{shard.name}", f"activations/{shard.stem}.json", "scores/animal.attn.safetensors"]
    damage(shard if part == "shard" else shard.with_suffix(".json"))
    (copy / "scores" / "animal.attn.safetensors").unlink()
    assert redone(atlas, spec, copy, damaged) == set()
    same(copy, undisturbed)
    assert shard.read_bytes() == (undisturbed / "activations" / shard.name).read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"), [("curves.parquet", flip), ("curves.parquet", Path.unlink), ("findings.parquet", cut)]
)
def test_a_damaged_table_is_redone_without_the_model(atlas, spec, undisturbed, copy, name, damage):
    damage(copy / name)
    shutil.rmtree(copy / "activations")
    before = stamps(copy / "scores")
    assert atlas(copy, spec=spec).code == 0
    assert stamps(copy / "scores") == before
    same(copy, undisturbed)


def test_damaged_items_are_redone(atlas, spec, undisturbed, copy):
    cut(copy / "items" / "large.parquet")
    assert redone(atlas, spec, copy, []) == set()
    same(copy, undisturbed)


def test_a_deleted_report_is_built_again(atlas, spec, copy):
    (copy / "report.html").unlink()
    before = stamps(copy, "*.parquet")
    assert atlas(copy, spec=spec).code == 0
    assert (copy / "report.html").exists()
    assert stamps(copy, "*.parquet") == before


def test_what_a_crash_left_half_written_is_swept(atlas, spec, undisturbed, copy):
    for folder in (copy, copy / "scores", copy / "items", copy / "activations"):
        (folder / ".left.abc123.part").write_bytes(b"half")
    (copy / "curves.parquet").unlink()
    (copy / "scores" / "large.mlp.safetensors").unlink()
    assert atlas(copy, spec=spec).code == 0
    same(copy, undisturbed)


def test_a_broken_manifest_is_made_anew_from_the_sound_parts(atlas, spec, undisturbed, copy):
    before = kept(copy)
    cut(copy / "run.json")
    done = atlas("report", copy)
    assert (done.code, done.out) == (3, "")
    assert re.fullmatch(
        r"layeratlas: '.*run\.json' cannot be read \(.*\); expected JSON .*; run the same .*\n", done.err
    )
    assert atlas(copy, spec=spec).code == 0
    assert kept(copy) == before
    same(copy, undisturbed)


@pytest.mark.truth
def test_a_run_in_a_bucket_is_resumed_elsewhere_from_what_was_published(
    atlas, spec, undisturbed, s3, in_s3, tmp_path, monkeypatch
):
    address = "s3://runs/resumed"
    bucket = Bucket.open(address)

    def shards() -> dict[str, datetime]:
        """Return when each shard that has its receipt was written."""
        found = bucket.entries("activations")
        whole = [
            name for name in found if name.endswith(".safetensors") and f"{Path(name).with_suffix('.json')}" in found
        ]
        return {name: found[name].written for name in whole}

    here = s3 | {"LAYERATLAS_CACHE": str(tmp_path / "here")}
    assert stop(atlas.start(address, spec=spec, env=here), lambda: len(shards()) > 5) == -signal.SIGKILL
    published = shards()
    elsewhere = s3 | {"LAYERATLAS_CACHE": str(tmp_path / "elsewhere")}
    done = atlas(address, spec=spec, env=elsewhere)
    assert done.code == 0, done.err
    later = bucket.entries()
    assert {name: shards()[name] for name in published} == published
    assert len(shards()) > len(published) > 5
    assert atlas(address, spec=spec, env=elsewhere).code == 0  # does nothing
    assert {name: entry.tag for name, entry in bucket.entries().items() if not name.endswith(LOCK)} == {
        name: entry.tag for name, entry in later.items() if not name.endswith(LOCK)
    }
    monkeypatch.setenv("LAYERATLAS_CACHE", str(tmp_path / "third"))
    with working_in(address) as folder:
        same(folder, undisturbed)
