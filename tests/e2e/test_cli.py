"""The command line as a first user meets it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest

from commands import ENVIRONMENT, FAST, SMALL, fresh, manifest, stamps, tables, write_csv
from layeratlas.cli.app import _in_paragraphs
from layeratlas.core import registry
from layeratlas.core.fields import accepted

RUN = ("run", "hierarchy", *FAST)
WORDS = ["red", "blue", "green", "tall", "round", "old", "new", "warm", "cold", "soft", "loud", "late"]
ROWS = [(f"the {w} {'cat' if i % 2 else 'car'}", "animal" if i % 2 else "thing", w) for w in WORDS for i in (0, 1)]


@pytest.fixture
def flags(tiny_model_dir):
    return (*RUN, "--model", tiny_model_dir)


def test_the_installed_command():
    command = Path(sys.executable).with_name("layeratlas")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"layeratlas {version('layeratlas')}\n", "")


def test_the_version_without_waiting_for_heavy_packages():
    done = fresh("--version", python=("-X", "importtime"))
    assert done.out == f"layeratlas {version('layeratlas')}\n"
    assert not re.search(r"\| +(torch|transformers|polars|scipy)$", done.err, re.M)


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        ((), "layeratlas run hierarchy --size quick"),
        (("run",), "layeratlas run hierarchy --data my_texts.csv"),
        (("report",), "Rebuild report.html of a run from its tables alone"),
        (("run",), "NAME=VALUE, a setting of the study ('layeratlas list settings')"),
        (("list",), "studies, tasks, probes, metrics, claims or settings"),
        (("check",), "identity self-tests with their errors, and the cost of a run"),
    ],
)
def test_help_says_what_to_do(atlas, command, advice):
    for flag in ("--help", "-h"):
        done = atlas(*command, flag)
        words = " ".join(done.out.replace("│", " ").split())
        assert (done.code, done.err) == (0, "")
        assert advice in words
        assert "\x1b" not in done.out
        # Text that is meant for the parser must not be shown.
        assert "\b" not in done.out
        assert "\\b" not in done.out


def test_help_names_every_kind_and_command(atlas):
    assert set(re.findall(r"^│ (\w+) ", atlas("--help").out, re.M)) == {
        "run", "report", "figures", "list", "check", "claims", "validate", "compare", "index", "share", "status",
        "sweep", "direction", "steer", "tensorboard",
    }  # fmt: skip
    assert all(name in atlas("run", "--help").out for name in ("quick", "standard", "full", "CSV", "JSONL", "Parquet"))


def test_without_a_command_the_help_is_shown(atlas):
    assert "Start with: layeratlas run hierarchy --size quick" in atlas().out


def test_help_breaks_lines_where_the_terminal_ends_and_keeps_examples():
    text = "One.\n\n    Two goes\n    on.\n\n    \b\n    layeratlas a\n    layeratlas b\n"
    assert _in_paragraphs(text) == "One.\n\nTwo goes on.\n\n\b\nlayeratlas a\nlayeratlas b"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tasks", {"analogies", "buried", "documents", "graded", "grammar", "items", "relations"}),
        ("probes", {"ridge", "svm"}),
        ("studies", {"hierarchy"}),
    ],
)
def test_lists_say_what_each_name_is(atlas, kind, names):
    done = atlas("list", kind)
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert set(lines) >= names
    assert all(len(text) > 20 for text in lines.values())
    assert (done.code, done.err) == (0, "")


def test_a_list_of_nothing_names_what_can_be_listed(atlas):
    done = atlas("list")
    kinds = [line.split()[0] for line in done.out.splitlines()]
    assert kinds == ["studies", "tasks", "probes", "metrics", "claims", "settings"]
    for kind in kinds:
        assert atlas("list", kind).code == 0


def test_tasks_are_listed_with_the_study_that_reads_them(atlas):
    of = {line.split()[0]: line for line in atlas("list", "tasks").out.splitlines()}
    assert {name: line.split()[1] for name, line in of.items()} == {
        name: next(study for study in registry.names("studies") if is_read_by(name, study))
        for name in registry.names("tasks")
    }
    assert of["xmps_paper"].endswith("(only with --task xmps_paper)")
    assert "--task" not in of["items"]
    exits = [line.split()[0] for line in atlas("list", "tasks", "exits").out.splitlines()]
    assert exits == [name for name in registry.names("tasks") if is_read_by(name, "exits")]


def is_read_by(task, study):
    reads = registry.get("studies", study).reads
    return all(isinstance(data, reads) for data in registry.get("tasks", task).build("quick"))


def test_the_settings_of_a_study_are_listed_with_default_values_and_meaning(atlas):
    done = atlas("list", "settings", "exits")
    title, header, *lines = done.out.splitlines()
    assert title == "exits: layeratlas run exits --set NAME=VALUE"
    assert header.split() == ["NAME", "DEFAULT", "VALUES", "MEANING"]
    fields = registry.get("studies", "exits").settings.model_fields
    assert [line.split()[0] for line in lines] == list(fields)
    for line, field in zip(lines, fields.values(), strict=True):
        _, default, values, meaning = re.split(r"  +", line.strip())
        assert default == (json.dumps(field.default).strip('"') or '""')
        assert (values, meaning) == (accepted(field), field.description)
    every = atlas("list", "settings").out
    assert [line.split(":")[0] for line in every.splitlines() if not line.startswith(" ")] == registry.names("studies")


def test_a_run_ends_in_its_findings_and_the_way_to_the_report(atlas, flags, tmp_path):
    done = atlas(*flags, *SMALL, cwd=tmp_path, page=True)
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert "\r" not in done.out + done.err
    lines = done.out.splitlines()
    assert re.fullmatch(r"tiny-llama: 3 blocks, width 32; computed in [\d.]+ s", lines[0])
    assert re.fullmatch(r"  \[(supported|not supported|inconclusive)\] Item properties .*\.", lines[3])
    assert re.fullmatch(r" +item [·░▒▓█]{4} (\d\.\d\d at \d|undetected)", lines[2])
    assert len(lines) <= 14
    assert re.fullmatch(r"runs/hierarchy-.*tiny-llama-quick-items/report\.html", lines[-1])
    page = tmp_path / lines[-1]
    assert page.stat().st_size > 10_000
    assert [path.name for path in (page.parent / "figures").iterdir()] == ["map.svg"]
    expected = ["load tiny-llama", "prepare", "capture", "recompute", "probe", "analyse", "report"]
    for words in (r" \.\.\.", r": done in [\d.]+ s"):
        assert re.findall(rf"^({'|'.join(expected)}){words}$", done.err, re.M) == expected


def test_a_random_model_is_not_said_to_know_anything(atlas, flags, tmp_path):
    atlas(*flags, *SMALL, "--out", "out", cwd=tmp_path)
    curves, findings = tables(tmp_path / "out")
    assert not findings.filter(pl.col("finding") == "peak", pl.col("verdict") == "supported").height
    shown = curves.filter(task="all", component="resid", metric="accuracy", layer=0)["control"]
    assert 0.45 < shown.item() < 0.55


def test_progress_at_a_terminal_shows_bars_and_the_time_left(atlas, flags, tmp_path):
    master, slave = pty.openpty()
    seen: list[bytes] = []

    def watch() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:
                return
            if not data:
                return
            seen.append(data)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    name = os.ttyname(slave)
    done = atlas(*flags, *SMALL, "--out", "out", cwd=tmp_path, terminal=name, env={"TERM": "xterm-256color"})
    os.close(slave)
    watcher.join(10)
    os.close(master)
    text = b"".join(seen).decode()
    assert done.code == 0
    assert "\x1b[" in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    for stage in ("load tiny-llama", "capture", "recompute", "probe", "analyse"):
        assert re.search(rf"{stage} +[━╸╺ ]+ +100% 0:00:\d\d left 0:00:00", plain), plain
    # Before the end, too: the time left is not only shown when there is none.
    assert re.search(r"probe +[━╸╺ ]+ +\d?\d% 0:00:\d\d left (-:--:--|0:00:\d\d)", plain), plain
    assert "out/report.html" in plain


def test_quiet_prints_the_way_to_the_report_only(atlas, flags, tmp_path):
    for _ in range(2):
        done = atlas(*flags, *SMALL, "--quiet", "--out", "out", cwd=tmp_path)
        assert (done.code, done.out, done.err) == (0, "out/report.html\n", "")


def test_nothing_else_is_printed_by_a_process_of_its_own(flags, tmp_path):
    data = write_csv(tmp_path / "own.csv", ROWS)
    done = fresh(*flags, "--data", data, "--quiet", "--out", tmp_path / "out")
    assert (done.code, done.out, done.err) == (0, f"{tmp_path}/out/report.html\n", "")


def test_two_models_give_two_folders(atlas, tiny_model_dir, tmp_path):
    for name in ("small", "other"):
        shutil.copytree(tiny_model_dir, tmp_path / "models" / name)
    data = write_csv(tmp_path / "own.csv", ROWS)
    both = ("--model", "models/small", "--model", "models/other")
    done = atlas(*RUN, *both, "--data", data, "--quiet", "--out", "out", cwd=tmp_path)
    assert done.code == 0
    reports = [Path(line) for line in done.out.splitlines()]
    assert len(set(reports)) == 2
    assert [path.parent.parent for path in reports] == [Path("out")] * 2
    for name, path in zip(("small", "other"), reports, strict=True):
        assert path.parent.name.startswith(f"hierarchy-models-{name}-")
        assert tables(tmp_path / path.parent)[0]["model"].unique().to_list() == [name]


def test_own_classes_from_csv(atlas, flags, tmp_path):
    data = write_csv(tmp_path / "own.csv", ROWS)
    done = atlas(*flags, "--data", data, "--out", "out", cwd=tmp_path)
    curves, _ = tables(tmp_path / "out")
    assert done.code == 0
    assert set(curves["metric"]) == {"accuracy", "balanced_accuracy", "auroc"}
    assert set(curves["task"]) == {"all", "own"}
    assert curves.filter(task="own", metric="accuracy")["n"].unique().to_list() == [24]
    assert curves.filter(task="own", metric="accuracy")["n_groups"].unique().to_list() == [12]
    # The last byte of every text tells the classes apart: t or r.
    top = curves.filter(task="own", metric="accuracy", component="resid", layer=0)
    assert top["estimate"].item() == 1.0
    items = pl.read_parquet(tmp_path / "out" / "items" / "own.parquet")
    assert items.select("text", "label", "group").rows() == ROWS


def test_class_ids_are_declared_classes(atlas, flags, tmp_path):
    rows = [(f"text {i}", str(i % 12), f"g{i // 3}") for i in range(48)]
    data = write_csv(tmp_path / "ids.csv", rows)
    assert atlas(*flags, "--data", data, "--labels", "classes", "--out", "out", cwd=tmp_path).code == 0
    assert manifest(tmp_path / "out")["datasets"][0]["kind"] == "classes"
    again = atlas("run", "exits", "--quiet", "--labels", "classes", cwd=tmp_path)
    assert "the study 'exits' does not use the option 'label_kind'" in again.err
    wrong = atlas(*flags, "--data", data, "--labels", "ids", "--out", "other", cwd=tmp_path)
    assert "label_kind='ids' is invalid; expected auto, classes or numbers" in wrong.err


def test_own_numbers_from_jsonl(atlas, tiny_model_dir, tmp_path):
    lines = [json.dumps({"text": "a" * (i % 20) + f" {i}", "label": i % 20 + 0.25, "group": str(i)}) for i in range(60)]
    (tmp_path / "lengths.jsonl").write_text("\n".join(lines) + "\n")
    flags = ("run", "hierarchy", "--model", tiny_model_dir, "--repeats", "1", "--shuffles", "20", "--out", "out")
    done = atlas(*flags, "--data", "lengths.jsonl", cwd=tmp_path)
    assert done.code == 0, done.err
    curves, findings = tables(tmp_path / "out")
    assert manifest(tmp_path / "out")["spec"]["probe"]["methods"] == ["ridge", "svm"]
    assert set(curves["method"]) == {"ridge"}
    assert set(curves["metric"]) == {"spearman", "r2"}
    assert set(curves["chance"]) == {0.0}
    assert curves["estimate"].is_finite().all()
    assert manifest(tmp_path / "out")["datasets"][0]["kind"] == "number"
    assert findings.height


def test_own_classes_from_parquet_equal_those_from_csv(atlas, flags, tmp_path):
    write_csv(tmp_path / "own.csv", ROWS)
    (tmp_path / "other").mkdir()
    pl.DataFrame(ROWS, schema=["text", "label", "group"], orient="row").write_parquet(
        tmp_path / "other" / "own.parquet"
    )
    for number, name in enumerate(("own.csv", "other/own.parquet")):
        assert atlas(*flags, "--data", name, "--out", f"out{number}", cwd=tmp_path).code == 0
    assert tables(tmp_path / "out0")[0].equals(tables(tmp_path / "out1")[0])


def test_several_files_and_a_task_in_one_run(atlas, flags, tmp_path):
    write_csv(tmp_path / "one.csv", ROWS)
    write_csv(tmp_path / "two.csv", [(text, "x" if group < "n" else "y", group) for text, _, group in ROWS])
    more = ("--data", "one.csv", "--data", "two.csv", "--task", "items", "--size", "quick", "--out", "out")
    assert atlas(*flags, *more, cwd=tmp_path).code == 0
    curves, _ = tables(tmp_path / "out")
    assert set(curves["task"]) == {"all", "one", "two", "edible", "animal", "manmade", "large"}
    assert set(curves["level"]) == {"one", "two", "item"}


@pytest.mark.parametrize("position", ["mean", "last"])
def test_the_position_read_is_a_flag(atlas, flags, tmp_path, position):
    data = write_csv(tmp_path / "own.csv", ROWS)
    assert atlas(*flags, "--data", data, "--position", position, "--out", position, cwd=tmp_path).code == 0
    assert manifest(tmp_path / position)["spec"]["capture"]["position"] == position


def test_a_report_is_rebuilt_from_the_tables_alone_and_without_torch(atlas, flags, tmp_path):
    data = write_csv(tmp_path / "own.csv", ROWS)
    out = tmp_path / "out"
    assert atlas(*flags, "--data", data, "--out", out).code == 0
    for name in ("activations", "scores"):
        shutil.rmtree(out / name)
    (out / "report.html").unlink()
    kept = stamps(out)
    (tmp_path / "broken").mkdir()
    for name in ("torch", "transformers"):
        (tmp_path / "broken" / f"{name}.py").write_text("raise ImportError('this must not be imported')\n")
    done = fresh("report", out, env={"PYTHONPATH": str(tmp_path / "broken")})
    assert (done.code, done.out, done.err) == (0, f"{out}/report.html\n", "")
    page = (out / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "tiny-llama" in page
    assert [path.name for path in (out / "figures").iterdir()] == ["map.svg"]
    assert {name: stamp for name, stamp in stamps(out).items() if name in kept} == kept


def test_check_shows_the_anatomy_the_identities_and_the_cost(atlas, tiny_model_dir):
    done = atlas("check", "--model", tiny_model_dir)
    assert done.code == 0
    assert re.search(r"^tiny-llama \(llama\), loaded in \d+\.\d s$", done.out, re.M)
    assert re.search(r"^  blocks +3 of width 32$", done.out, re.M)
    assert re.search(r"^  vocabulary +300; context 64$", done.out, re.M)
    assert re.search(r"^  BOS +one <s> prepended to every text$", done.out, re.M)
    for name in ("residual sum", "logits", "causality", "alone equals right-padded", "one BOS"):
        assert re.search(rf"^  ok   {name} +\d\.\de[+-]\d\d +\de[+-]\d\d  \w", done.out, re.M), done.out
    assert "FAIL" not in done.out
    assert len(re.findall(r"^  (?:quick|standard|full) +[\d,]+ +[\d,]+ +\d+ s +[\d.]+ [GM]B$", done.out, re.M)) == 3


def test_the_environment_of_these_tests_is_offline():
    assert ENVIRONMENT["HF_HUB_OFFLINE"] == "1"
