"""Whatever specs, flags and run folders say, it ends well or in one line, and nothing is written elsewhere.

Readers have the same in `test_reading_anything.py`. `LAYERATLAS_FUZZ=20` tries twenty times as many examples.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layeratlas as la
from fake_run import write_run
from layeratlas.__main__ import main
from layeratlas.api.options import Options
from layeratlas.core import registry
from layeratlas.core.checksums import digest_of, read_sealed, write_sealed
from layeratlas.core.errors import AtlasError, SpecError
from layeratlas.core.spec import CaptureSpec, ModelSpec, ProbeSpec, RunSpec

MORE = int(os.environ.get("LAYERATLAS_FUZZ", "1"))


def bounded(examples: int) -> Any:
    return settings(
        max_examples=examples * MORE,
        deadline=None,
        derandomize=MORE == 1,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "0", "-1", "nan", "1e999", "null", "[" * 3000, "ridge", "../../x", "~nobody", "a" * 5000]),
    st.sampled_from(["\udcff", "a\nb", "a\0b", "\u2028", "[1]", '{"a": 1}', "true", "9" * 5000, "hub:", "#", "x#../y"]),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.just(10**400)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
STUDIES = [registry.get("studies", name) for name in registry.names("studies")]
SPECS = [RunSpec, ModelSpec, ProbeSpec, CaptureSpec, *(study.settings for study in STUDIES)]


def check_line(text: str) -> None:
    text.encode(errors="backslashreplace")
    assert "internal error" not in text
    assert len(text.splitlines()) == 1
    assert len(text) < 6000


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.__module__.split('.')[-2]}-{spec.__name__}")
@bounded(25)
@given(data=st.data())
def test_any_spec_is_made_or_refused_in_one_line(spec, data):
    names = st.one_of(st.sampled_from(sorted(spec.model_fields) or ["x"]), TEXTS)
    fields = data.draw(st.dictionaries(names, VALUES, max_size=4))
    try:
        made = spec(**fields)
    except SpecError as error:
        check_line(str(error))
    else:
        assert len(made.content_hash()) == 16


@bounded(60)
@given(options=st.dictionaries(st.one_of(st.sampled_from(sorted(Options.__annotations__)), TEXTS), VALUES))
def test_any_options_from_python(options, tmp_path):
    out = tmp_path / "out"
    with unmeasured(), contextlib.chdir(tmp_path):
        try:
            la.run("exits", size="quick", out=out, **{"tasks": ["truth"]} | options)
        except AtlasError as error:
            check_line(str(error))
        finally:
            shutil.rmtree(out, ignore_errors=True)
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """Let runs read everything and measure nothing."""
    with patch("layeratlas.runs.pipeline._run_stages"):
        yield


def called(args: Sequence[str], folder: Path) -> tuple[int, str]:
    """Return the exit code and stderr of `layeratlas ARGS`, run in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        unmeasured(),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["layeratlas", *args]),
    ):
        try:
            main()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 0, err.getvalue()
    return 0, err.getvalue()


def check_ending(args: Sequence[str], folder: Path) -> int:
    """Check that a command ends well, in the usage of its flags or in one line; return its exit code."""
    code, err = called(args, folder)
    assert "Traceback" not in err, err
    if code and "Usage:" not in err:
        check_line(err)
        assert err.startswith("layeratlas: ")
        assert code in (2, 3)
    return code


FLAGS = ["--task", "--data", "--probe", "--position", "--component", "--folds", "--repeats", "--shuffles", "--svm-c"]
FLAGS += ["--pca", "--set", "--seed", "--bad-rows", "--bos", "--revision", "--dtype", "--attention", "--device"]
FLAGS += ["--weights", "--memory", "--adapter", "--size", "--model", "--nothing"]
SETTINGS = st.builds(
    lambda name, value: f"{name}={value}",
    st.sampled_from(sorted({name for study in STUDIES for name in study.settings.model_fields})),
    st.one_of(TEXTS, VALUES.map(lambda value: json.dumps(value, default=str))),
)
PAIRS = st.one_of(
    st.tuples(st.sampled_from(FLAGS), TEXTS),
    st.tuples(st.just("--set"), SETTINGS),
    st.tuples(st.just("--data"), st.sampled_from(["own.csv", "a[1].jsonl", "own.csv#../../x", "own.csv#label", "."])),
)
# What no system passes on as an argument.
IMPOSSIBLE = "\0"


@bounded(40)
@given(
    study=st.one_of(st.sampled_from([*registry.names("studies"), "atlas"]), TEXTS),
    pairs=st.lists(PAIRS, max_size=4),
)
def test_any_flags_of_a_run(study, pairs, tmp_path):
    work = tmp_path / "inner"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    rows = [f"text {i},{'yes' if i % 2 else 'no'},../../g{i // 4}" for i in range(16)]
    (work / "own.csv").write_text("\n".join(["text,label,group", *rows]))
    question = {"question": "one?", "choices": ["a", "b"], "answer": 0, "group": "../x", "stratum": "/y"}
    (work / "a[1].jsonl").write_text(json.dumps(question) + "\n")
    flags = [part.replace(IMPOSSIBLE, "") for pair in pairs for part in pair]
    check_ending(["run", study.replace(IMPOSSIBLE, ""), "--size", "quick", "--quiet", *flags, "--out", "out"], work)
    assert [path.name for path in tmp_path.iterdir()] == ["inner"]
    assert {path.name for path in work.iterdir()} <= {"own.csv", "a[1].jsonl", "out"}


@bounded(40)
@given(
    command=st.sampled_from(["list", "report", "claims", "compare", "check --plan --model", "run", "nothing"]),
    words=st.lists(TEXTS, max_size=3),
)
def test_any_words_after_a_command(command, words, tmp_path):
    words = [word.replace(IMPOSSIBLE, "") for word in words]
    if command == "run":
        words = ["exits", "--quiet", "--task", "truth", "--size", "quick", "--out", "out", *words]
    if command.startswith("check"):
        words = [*(words or ["x"])[:1], *words[1:]]
    check_ending([*command.split(), *words], tmp_path)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A finished run whose tables are vouched for, as a real one's are."""
    folder = write_run(tmp_path_factory.mktemp("sound") / "run")
    manifest = json.loads((folder / "run.json").read_text())
    outputs = ["curves.parquet", "findings.parquet"]
    manifest |= {"status": "complete", "key": "k", "texts": "t"}
    manifest["stages"] = manifest.get("stages", {}) | {
        "analyse": {
            "seconds": 1.0,
            "done": True,
            "outputs": outputs,
            "sha256": {name: digest_of(folder / name) for name in outputs},
        }
    }
    write_sealed(folder / "run.json", manifest)
    return folder


CHANGES = st.tuples(
    st.sampled_from(["run.json", "curves.parquet", "findings.parquet"]),
    st.sampled_from(["flip", "cut", "empty", "directory", "gone", "noise", "other"]),
    st.integers(0, 10**6),
)


def changed(path: Path, how: str, at: int) -> None:
    data = bytearray(path.read_bytes())
    at %= len(data)
    if how in ("directory", "gone"):
        path.unlink()
    if how == "directory":
        path.mkdir()
    elif how == "other":
        others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
        path.write_bytes(others[at % len(others)].read_bytes())
    elif how != "gone":
        data[at] ^= 1 << at % 8
        path.write_bytes({"flip": data, "cut": data[:at], "empty": b"", "noise": os.urandom(at % 999)}[how])


@bounded(25)
@given(changes=st.lists(CHANGES, min_size=1, max_size=2, unique_by=lambda change: change[0]))
def test_a_changed_run_folder_is_never_believed(sound, changes, tmp_path):
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    for name, how, at in changes:
        changed(folder / name, how, at)
    for command in ("claims", "compare", "report"):
        second = [str(sound), "--out", "page"] if command == "compare" else []
        assert check_ending([command, str(folder), *second], tmp_path) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@bounded(25)
@given(data=st.data())
def test_a_manifest_of_another_shape_ends_in_one_line(sound, data, tmp_path):
    """Its seal fits, as that of another version's might."""
    folder = tmp_path / "run"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(sound, folder)
    manifest = read_sealed(folder / "run.json")
    place = manifest
    name = data.draw(st.sampled_from(sorted(manifest)))
    while isinstance(place[name], dict) and place[name] and data.draw(st.booleans()):
        place = place[name]
        name = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[name]
    else:
        place[name] = json.loads(json.dumps(data.draw(VALUES)))
    write_sealed(folder / "run.json", manifest)
    check_ending(["claims", str(folder)], tmp_path)
    with contextlib.suppress(AtlasError):
        str(la.load(folder))
