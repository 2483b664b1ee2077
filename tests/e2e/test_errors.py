"""What goes wrong ends in one line that says what was found, what was expected and what to do."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from commands import FAST, SMALL, fresh, manifest, stamps, tables, the_line, write_csv
from layeratlas.core.checksums import write_sealed

RUN = ("run", "hierarchy", "--quiet")
ROWS = [(f"text number {i}", "yes" if i % 2 else "no", f"g{i // 4}") for i in range(24)]


@pytest.fixture
def model(tiny_model_dir, tmp_path):
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "tiny"))


@pytest.fixture
def data(tmp_path):
    return write_csv(tmp_path / "sound.csv", ROWS)


def test_the_process_itself_prints_one_line_and_returns_two():
    line = the_line(fresh(*RUN, "--task", "itmes"))
    assert re.search(r"no task named 'itmes'; expected one of analogies, .*items, .*did you mean 'items'\?$", line)


def test_a_reader_that_has_gone_ends_the_command_without_a_word():
    codes = []
    for reader in ("true", "cat"):
        read, write = os.pipe()
        taker = subprocess.Popen([reader], stdin=read, stdout=subprocess.DEVNULL)
        os.close(read)
        if reader == "true":
            taker.wait()
        done = subprocess.run(
            [sys.executable, "-m", "layeratlas", "list", "tasks"], stdout=write, stderr=subprocess.PIPE, check=False
        )
        os.close(write)
        taker.wait()
        codes.append((done.returncode, done.stderr))
    assert codes == [(128 + signal.SIGPIPE, b""), (0, b"")]


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (
            ("run", "hierarhcy"),
            r"no study named 'hierarhcy'; expected one of .*hierarchy.*; did you mean 'hierarchy'\?",
        ),
        ((*RUN, "--task", "relatoins"), r"no task named 'relatoins'; .*did you mean 'relations'\?"),
        ((*RUN, "--task", "xyz"), r"no task named 'xyz'; .*'layeratlas list tasks' shows them all"),
        ((*RUN, "--probe", "rigde"), r"no probe named 'rigde'; expected one of .*; did you mean 'ridge'\?"),
        (
            (*RUN, "--size", "quik"),
            r"no size named 'quik'; expected one of quick, standard, full; did you mean 'quick'\?$",
        ),
        (
            (*RUN, "--dtype", "float23"),
            r"the option dtype='float23' is invalid; expected float32, bfloat16, float16 or auto",
        ),
        ((*RUN, "--attention", "flash"), r"the option attention='flash' is invalid; expected sdpa or eager"),
        (
            (*RUN, "--position", "lst"),
            r"position='lst' is invalid; expected last, mean, turn, answer or span:NAME",
        ),
        ((*RUN, "--shuffles", "5"), r"the option shuffles=5 is invalid; expected a whole number, at least 20"),
        ((*RUN, "--set", "mdl"), r"--set 'mdl' is invalid; expected NAME=VALUE; layeratlas list settings$"),
        ((*RUN, "--set", "mld=true"), r"no setting named 'mld'; expected one of .*mdl"),
        (("list", "taks"), r"unknown kind 'taks'; choose one of studies, tasks, probes, metrics, claims, settings$"),
        (("list", "settings", "exit"), r"no study named 'exit'; .*; did you mean 'exits'\?$"),
        (("list", "probes", "exits"), r"'probes' are not listed by study; layeratlas list probes$"),
    ],
)
def test_a_misspelt_flag(atlas, tmp_path, flags, pattern):
    assert re.search(pattern, the_line(atlas(*flags, cwd=tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("study", "flag", "option"),
    [
        ("exits", ("--folds", "3"), "folds"),
        ("exits", ("--folds", "5"), "folds"),  # the default of a study that has folds
        ("exits", ("--position", "mean"), "position"),
        ("exits", ("--probe", "svm"), "probe"),
        ("segments", ("--probe", "svm"), "probe"),
        ("segments", ("--component", "attn"), "components"),
        ("segments", ("--svm-c", "0.1"), "svm_c"),
    ],
)
def test_an_option_that_a_study_does_not_use_is_refused(atlas, tmp_path, study, flag, option):
    line = the_line(atlas("run", study, *flag, cwd=tmp_path))
    assert re.search(rf"the study '{study}' does not use the option '{option}'; .*; leave it out$", line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (("--task", "items"), r"an atlas does not take the option 'tasks'; expected the studies' own texts; run one"),
        (("--folds", "1"), r"the option folds=1 is invalid; expected a whole number, at least 2"),
        (("--set", "shot=2"), r"no setting named 'shot'; .*; did you mean 'shots'\?$"),
    ],
)
def test_a_wrong_option_of_an_atlas(atlas, tmp_path, flags, pattern):
    assert re.search(pattern, the_line(atlas("run", "atlas", *flags, cwd=tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "pattern"),
    [
        (("--model", "smollm2-135"), r"'smollm2-135' does not exist; .*; did you mean 'smollm2-135m'\?"),
        (("--model", "./no/such/model"), r"'\./no/such/model' does not exist; expected a hub id, a directory, .*check"),
        (("--model", "tyni"), r"'tyni' is not a local path and the hub cannot be reached; .*check the spelling"),
        (("--model", "model.gguf"), r"'model\.gguf' does not exist; expected a \.gguf file; check the path"),
        (
            ("--model", "{tiny}", "--device", "gpu"),
            r"unknown device 'gpu'; expected auto, cpu, cuda, mps, xpu",
        ),
    ],
)
def test_a_misspelt_model_leaves_nothing_in_the_way(atlas, model, data, tmp_path, flags, pattern):
    flags = [flag.format(tiny=model) for flag in flags]
    assert re.search(pattern, the_line(atlas(*RUN, *FAST, "--data", data, "--out", "out", *flags, cwd=tmp_path)))
    assert not (tmp_path / "out").exists()
    done = atlas(*RUN, *FAST, "--data", data, "--out", "out", "--model", model, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "out/report.html\n", "")
    assert tables(tmp_path / "out")[0]["model"].unique().to_list() == ["tiny"]


BAD_FILES = {
    "nothing.csv": ("", r"'nothing\.csv' is empty; expected a header and at least two labelled texts; check the file"),
    "header.csv": ("text,label,group\n", r"'header\.csv' has no rows; expected a header and at least two"),
    "columns.csv": ("txt,label\na,b\n", r"'columns\.csv' has the columns txt, label; expected 'text' and 'label'"),
    "class.csv": ("text,label\na,x\nb,x\nc,x\n", r"'class\.csv' has one class \('x'\); expected two classes"),
    "group.csv": (
        "text,label,group\na,x,g\nb,y,g\nc,x,g\n",
        r"'group\.csv': one group \('g'\) covers all 3 items; expected at least two groups, .*; give each",
    ),
    "twice.csv": (
        "text,label,group\na,x,g\nb,y,h\na,x,h\n",
        r"'twice\.csv', line 4: the text is in the groups 'g' and 'h'; expected each text in one group.*; merge",
    ),
    "gap.csv": ("text,label\na,x\n,y\n", r"'gap\.csv', line 3: 'text' is empty; expected a value in every row; fill"),
    "broken.jsonl": ('{"text": \n', r"'broken\.jsonl', line 1 is not JSON \(.*\); expected one object per row; fix it"),
    "texts.txt": ("a\nb\n", r"'texts\.txt' ends in '\.txt'; expected a \.csv, \.jsonl or \.parquet file; convert it"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_data_file(atlas, tmp_path, name):
    text, pattern = BAD_FILES[name]
    (tmp_path / name).write_text(text)
    line = the_line(atlas(*RUN, "--data", name, "--out", "out", cwd=tmp_path))
    assert re.search(pattern, line)
    assert not (tmp_path / "out").exists()


def test_a_data_file_that_is_not_there(atlas, tmp_path):
    line = the_line(atlas(*RUN, "--data", "nowhere.csv", "--out", "out", cwd=tmp_path))
    assert re.search(r"'nowhere\.csv' does not exist; expected a header and .*; check the path", line)


def test_numbers_for_a_probe_that_cannot_predict_them(atlas, tmp_path):
    rows = "".join(json.dumps({"text": f"number {i}", "label": i}) + "\n" for i in range(30))
    (tmp_path / "numbers.jsonl").write_text(rows)
    line = the_line(atlas(*RUN, "--data", "numbers.jsonl", "--probe", "svm", cwd=tmp_path))
    assert re.search(r"'numbers\.jsonl' has numbers to predict, which svm cannot; .*; add --probe ridge", line)


def test_a_text_longer_than_the_context(atlas, model, data, tmp_path):
    long = write_csv(tmp_path / "long.csv", [*ROWS[:5], ("w" * 80, "yes", "g9"), *ROWS[5:]])
    line = the_line(atlas(*RUN, *FAST, "--model", model, "--data", long, "--out", "out", cwd=tmp_path))
    assert re.search(
        r"long\.csv', text 6 has 81 tokens; expected at most 64, the context of tiny; shorten or drop it", line
    )
    assert atlas(*RUN, *FAST, "--model", model, "--data", data, "--out", "out", cwd=tmp_path).code == 0
    assert [d["name"] for d in manifest(tmp_path / "out")["datasets"]] == ["sound"]
    assert [path.name for path in (tmp_path / "out" / "items").iterdir()] == ["sound.parquet"]


def spoil(model: Path, name: str) -> None:
    weights = model / "model.safetensors"
    if name == "nan":
        tensors = load_file(weights)
        tensors["model.layers.1.mlp.down_proj.weight"][3, 4] = float("nan")
        save_file(tensors, weights, metadata={"format": "pt"})
    elif name == "pickle":
        torch.save(load_file(weights), model / "pytorch_model.bin")
        weights.unlink()
    elif name == "remote":
        config = json.loads((model / "config.json").read_text())
        config |= {"auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}, "model_type": "own"}
        (model / "config.json").write_text(json.dumps(config))
        (model / "own.py").write_text("raise SystemExit('this code must not run')\n")
    elif name == "no model":
        (model / "config.json").unlink()
    elif name == "no weights":
        weights.unlink()
    elif name == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("nan", r"'.*tiny'.* not finite.*"),
        ("pickle", r"holds pickled weights only \(pytorch_model\.bin\); expected safetensors; pickle can run code"),
        ("remote", r"'.*tiny' .*needs Python code .*; expected .*; read that code, then use .*trust.remote.code"),
        ("no model", r"the directory '.*tiny' has no config\.json; expected a model directory: .*; name the directory"),
        ("no weights", r"the directory '.*tiny' holds no weights; expected \*\.safetensors files; check the download"),
        ("cut", r"'.*tiny' cannot be loaded \(SafetensorError: .*\); expected a complete .*; check its files"),
    ],
)
def test_a_model_that_cannot_be_measured(atlas, tiny_model_dir, model, data, tmp_path, name, pattern):
    spoil(model, name)
    flags = (*RUN, *FAST, "--data", data, "--out", "out", "--model", model)
    assert re.search(pattern, the_line(atlas(*flags, cwd=tmp_path)))
    shutil.rmtree(model)
    shutil.copytree(tiny_model_dir, model)
    assert atlas(*flags, cwd=tmp_path).code == 0


def test_a_folder_that_holds_something_else(atlas, model, data, tmp_path):
    flags = (*RUN, *FAST, "--data", data, "--model", model)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    line = the_line(atlas(*flags, "--out", "thesis", cwd=tmp_path), code=3)
    assert re.search(r"'thesis' is not empty and holds no run; expected a new or empty folder; choose another", line)
    assert list(stamps(tmp_path / "thesis")) == ["chapter.txt"]


def test_a_folder_of_another_run(atlas, model, data, tmp_path):
    flags = (*RUN, *FAST, "--data", data, "--model", model, "--out", "out")
    assert atlas(*flags, cwd=tmp_path).code == 0
    before = stamps(tmp_path / "out")
    line = the_line(atlas(*flags, "--seed", 7, "--repeats", 2, cwd=tmp_path), code=3)
    assert re.search(r"'out' holds another run \(probe\.repeats 1 -> 2; seed 0 -> 7\); expected the same spec", line)
    write_csv(data, [*ROWS, ("one more", "yes", "g9")])
    line = the_line(atlas(*flags, cwd=tmp_path), code=3)
    assert re.search(r"'out' holds another run \(other texts\); .*; choose another --out or remove that folder", line)
    assert stamps(tmp_path / "out") == before


def test_a_folder_made_by_another_version(atlas, model, data, tmp_path):
    flags = (*RUN, *FAST, "--data", data, "--model", model, "--out", "out")
    assert atlas(*flags, cwd=tmp_path).code == 0
    record = manifest(tmp_path / "out")
    record["versions"]["transformers"] = "4.0.0"
    record["key"] = "0" * 16
    write_sealed(tmp_path / "out" / "run.json", record)
    line = the_line(atlas(*flags, cwd=tmp_path), code=3)
    assert re.search(r"holds another run \(versions\.transformers '4\.0\.0' -> '.*'\)", line)


@pytest.mark.parametrize("whole", [True, False], ids=["finished", "to be resumed"])
def test_a_run_whose_model_has_changed_since(atlas, model, data, tmp_path, whole):
    """A finished run would print the numbers of the other model."""
    flags = (*RUN, *FAST, "--data", data, "--model", model, "--out", "out")
    assert atlas(*flags, cwd=tmp_path).code == 0
    tensors = load_file(model / "model.safetensors")
    tensors["model.norm.weight"] += 1
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    if not whole:
        shutil.rmtree(tmp_path / "out" / "items")
    line = the_line(atlas(*flags, cwd=tmp_path), code=3)
    changed = r"the files of model '.*tiny' have changed since this run began \(model.safetensors\)"
    assert re.search(rf"{changed}; .*; choose another --out", line)


@pytest.mark.parametrize("folder", ["nowhere", "empty", "thesis"])
def test_a_report_of_no_run(atlas, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    line = the_line(atlas("report", folder, cwd=tmp_path, page=True), code=3)
    assert re.search(rf"'?{folder}.* (run|exist)", line)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_a_report_of_a_run_that_was_stopped(atlas, model, data, tmp_path):
    assert atlas(*RUN, *FAST, "--data", data, "--model", model, "--out", "out", cwd=tmp_path).code == 0
    (tmp_path / "out" / "curves.parquet").unlink()
    line = the_line(atlas("report", "out", cwd=tmp_path, page=True), code=3)
    assert "curves.parquet" in line


@pytest.mark.parametrize("place", ["file", "file/inside", "/proc/inside"])
def test_a_folder_that_cannot_be_written(atlas, tiny_model_dir, data, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    done = atlas(*RUN, *FAST, "--data", data, "--model", tiny_model_dir, "--out", place, cwd=tmp_path)
    line = the_line(done, code=3)
    assert re.search(rf"cannot write '{place}': .*; expected a folder that can be written; choose", line)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_write_that_fails_in_the_middle(atlas, tiny_model_dir, tmp_path):
    flags = (*RUN, *FAST, *SMALL, "--model", tiny_model_dir)
    line = the_line(atlas(*flags, "--out", "out", cwd=tmp_path, file_limit=50_000), code=3)
    assert re.search(r"cannot write 'out/activations/.*\.safetensors': File too large; expected", line)
    assert not list((tmp_path / "out").rglob("*.part"))
    assert not list((tmp_path / "out").rglob("*.safetensors"))
    assert atlas(*flags, "--out", "out", cwd=tmp_path).code == 0
    assert atlas(*flags, "--out", "undisturbed", cwd=tmp_path).code == 0
    for found, expected in zip(tables(tmp_path / "out"), tables(tmp_path / "undisturbed"), strict=True):
        assert found.equals(expected)


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 32 MB of which a test may fill what it likes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or not shutil.which("mount"):
        pytest.skip("no small file system can be mounted here")
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


# The activations take 0.5 MB: with 0.3 MB free they are refused at once, with a little more the disk is full later on.
@pytest.mark.parametrize(
    ("free", "pattern"),
    [
        (300_000, r"0\.\d MB are free in '.*activations'; expected 0\.\d MB for the activations; free some space, use"),
        (580_000, r"the disk is full: .* for '.*' did not fit in '.*'; expected .*; free some space or use --out on"),
    ],
)
def test_a_full_disk(atlas, tiny_model_dir, small_disk, free, pattern):
    filler, out = small_disk / "filler", small_disk / "out"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - free))
    flags = (*RUN, *FAST, *SMALL, "--model", tiny_model_dir, "--out", out)
    assert re.search(pattern, the_line(atlas(*flags), code=3))
    assert not list(out.rglob("*.part"))
    filler.unlink()
    assert atlas(*flags).code == 0
    tables(out)
