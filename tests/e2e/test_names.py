"""Names are names: none is a pattern, none leads out of the run's folder, and none ends in a traceback."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import FAST, Zygote, tables, the_line, write_csv

ROWS = [(f"text number {i}", "yes" if i % 2 else "no", f"g{i // 4}") for i in range(24)]
OTHER = [(f"text number {i}", "yes" if i % 3 else "no", f"g{i // 4}") for i in range(24)]


def test_a_folder_and_a_file_with_brackets_are_those_of_that_name(atlas, tiny_model_dir, tmp_path):
    write_csv(tmp_path / "a[1].csv", ROWS)
    write_csv(tmp_path / "a1.csv", OTHER)
    flags = ("run", "hierarchy", "--model", tiny_model_dir, *FAST, "--quiet", "--data", "a[1].csv", "--out", "runs[1]")
    done = atlas(*flags, cwd=tmp_path, page=True)
    assert (done.code, done.out, done.err) == (0, "runs[1]/report.html\n", "")
    assert set(tables(tmp_path / "runs[1]")[0]["task"]) == {"all", "a[1]"}
    again = atlas("report", "runs[1]", cwd=tmp_path, page=True)
    assert (again.code, again.err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].csv", "a1.csv", "runs[1]"}


NAMES = ["~nobody/x", "x" * 5000, "x/" * 2500, "/" + "y/" * 2000, "no\udcffutf8", "null"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "command",
    [
        ("check", "--model"),
        ("report",),
        ("claims",),
        ("run", "hierarchy", "--quiet", "--task"),
        ("run", "hierarchy", "--quiet", "--data"),
        ("run", "exits", "--quiet", "--model"),
        ("run", "hierarchy", "--quiet", "--seed", "-1", "--out"),
        ("run", "hierarchy", "--quiet", "--seed", str(2**70), "--out"),
    ],
)
def test_a_strange_name_ends_in_one_line(atlas, tmp_path, command, name):
    done = atlas(*command, name, cwd=tmp_path)
    assert done.code in (1, 2, 3)
    assert re.fullmatch(r"layeratlas: .*\n", done.err), done.err[-2000:]
    assert "internal error" not in done.err


def test_a_process_without_a_home_uses_a_temporary_cache(monkeypatch):
    from layeratlas.core.cache import cache_root

    for name in ("LAYERATLAS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache_root().is_absolute()


def snapshot(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzzed")


TEXT = st.text(st.sampled_from(string.ascii_letters + "./\\[]*?#~-=\u0300\udc80\u202e\n'\" "), max_size=30)
FLAGS = ["--task", "--data", "--probe", "--set", "--size", "--position", "--component", "--seed", "--dtype", "--svm-c"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(study=st.sampled_from(["hierarchy", "exits", "segments", "atlas"]), flag=st.sampled_from(FLAGS), value=TEXT)
def test_no_flag_ends_in_a_traceback_or_writes_outside(atlas: Zygote, place: Path, study: str, flag: str, value: str):
    before = snapshot(place)
    done = atlas("run", study, "--model", "no-such-model", "--quiet", f"{flag}={value}", "--out", "out", cwd=place)
    assert done.code != 0
    assert "Traceback" not in done.err, done.err
    assert "internal error" not in done.err, done.err
    outside = {name for name in snapshot(place) - before if not name.startswith("out")}
    assert outside == set()


def test_one_line_for_a_missing_run(atlas, tmp_path):
    assert "does not exist" in the_line(atlas("claims", tmp_path / "none"), 3)
