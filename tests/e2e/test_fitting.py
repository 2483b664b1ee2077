"""What does not fit the model: fewer worked examples, sets left out by name, long rows dropped; the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import families
from commands import FAST, manifest, stamps, tables, the_line, write_csv

ROWS = [(f"text number {i}", "yes" if i % 2 else "no", f"g{i // 4}") for i in range(24)]
LONG = ("w" * 80, "yes", "g2")
QUESTIONS = [
    {"question": f"Which number follows {i}?", "choices": [str(i + 1), str(i + 2)], "answer": 0} for i in range(12)
]
SHOTS = [{"question": f"Which number follows {i}?", "choices": [str(i + 1), "0"], "answer": 0} for i in range(90, 94)]


@pytest.fixture(scope="module")
def model_of(tmp_path_factory) -> Callable[[int], Path]:
    """A function that gives a tiny model, one token per byte, with that context."""

    def get(context: int) -> Path:
        config = families.FAMILIES["llama"]()
        config.max_position_embeddings = context
        return families.save(tmp_path_factory.mktemp("contexts") / f"context-{context}", config)

    return get


def write_questions(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("context", [512, 128])
def test_the_default_exits_run_goes_on_without_what_does_not_fit(atlas, model_of, tmp_path, context):
    flags = ("--size", "quick", "--out", tmp_path / "out")
    done = atlas("run", "exits", "--model", model_of(context), *flags)
    assert done.code == 0
    record = manifest(tmp_path / "out")
    asked = {data["name"]: data for data in record["datasets"]}
    left_out, fewer = record["unfit"]["sets"], record["fewer_shots"]
    assert asked.keys() & left_out.keys() == set()
    assert {"xmps-th", "arithmetic"} <= asked.keys() | left_out.keys()
    assert "xmps-th" in left_out
    assert all(data["tokens"]["max"] <= context for data in asked.values())
    assert fewer
    assert all(asked[name]["shots"] == shots < 4 for name, shots in fewer.items())
    # Sets of one level are asked alike, and the level's curve is of what was asked.
    by_level: dict[str, set[int]] = {}
    for data in asked.values():
        by_level.setdefault(data["level"], set()).add(data["shots"])
    assert all(len(shots) == 1 for shots in by_level.values())
    curves, _ = tables(tmp_path / "out")
    assert set(curves["level"]) == set(by_level)
    for name, reason in left_out.items():
        assert f"{name} is left out: {reason}" in done.err
    for name, shots in fewer.items():
        assert f"{name} is asked with {shots} of 4 worked examples" in done.err


def test_where_nothing_fits_one_line_says_so(atlas, model_of, tmp_path):
    flags = ("--task", "arithmetic", "--task", "truth", "--size", "quick", "--quiet", "--out", tmp_path / "out")
    line = the_line(atlas("run", "exits", "--model", model_of(16), *flags))
    assert "nothing that the run reads fits the model: arithmetic, question 1 has " in line
    assert line.endswith("expected at most 16, the context of context-16; use other texts or another model")


def test_users_questions_have_the_most_worked_examples_that_fit(atlas, model_of, tmp_path):
    shots = [row | {"shot": True} for row in SHOTS]
    data = write_questions(tmp_path / "own.jsonl", [*shots, *(row | {"shot": False} for row in QUESTIONS)])
    used = {}
    for context in (64, 100, 256):
        flags = ("--model", model_of(context), "--data", data, "--out", tmp_path / f"{context}")
        done = atlas("run", "exits", *flags)
        assert done.code == 0
        (record,) = manifest(tmp_path / f"{context}")["datasets"]
        used[context] = record["shots"]
        assert record["tokens"]["max"] <= context
        one_more = record["tokens"]["max"] + len("Q: Which number follows 90?\nA: 91\n\n")
        assert record["shots"] == 4 or one_more > context
    assert used[64] < used[100] < used[256] == 4
    line = the_line(atlas("compare", tmp_path / "64", tmp_path / "256", "--out", tmp_path / "both", page=True), 3)
    assert "cannot be compared: worked examples" in line
    assert line.endswith(f"run both with --set shots={used[64]}")


def test_free_answers_have_room_too(atlas, model_of, tmp_path):
    data = write_questions(tmp_path / "own.jsonl", [*(row | {"shot": True} for row in SHOTS), *QUESTIONS])
    flags = ("--data", data, "--set", "format=free", "--set", "free_tokens=20", "--out", tmp_path / "out")
    assert atlas("run", "exits", "--model", model_of(100), *flags).code == 0
    (record,) = manifest(tmp_path / "out")["datasets"]
    assert record["shots"] == 1  # two would fit without the answer
    items = pl.read_parquet(tmp_path / "out" / "items" / "own.parquet")
    assert items["prompt_tokens"].max() + 20 <= 100


def test_long_rows_are_dropped_if_asked_and_a_resumed_run_drops_the_same(atlas, model_of, tmp_path):
    long = write_csv(tmp_path / "own.csv", [*ROWS[:9], LONG, *ROWS[9:], ("x" * 99, "no", "g5")])
    (tmp_path / "clean").mkdir()
    clean = write_csv(tmp_path / "clean" / "own.csv", ROWS)
    flags = ("run", "hierarchy", "--model", model_of(64), *FAST)
    line = the_line(atlas(*flags, "--data", long, "--quiet", "--out", tmp_path / "refused"))
    assert "own.csv', text 10 has 81 tokens (and 1 more do not fit); expected at most 64" in line
    assert line.endswith("or leave out such rows with --bad-rows drop")
    out = tmp_path / "dropped"
    done = atlas(*flags, "--data", long, "--bad-rows", "drop", "--out", out)
    assert (done.code, "own: leaves out 2 rows (7.7%)" in done.err) == (0, True)
    assert atlas(*flags, "--data", clean, "--out", tmp_path / "whole").code == 0
    assert tables(out)[0].equals(tables(tmp_path / "whole")[0])
    record = manifest(out)
    assert record["texts"] == manifest(tmp_path / "whole")["texts"]
    assert record["dropped"]["own"]["share"] == pytest.approx(2 / 26)
    assert [row["why"] for row in record["dropped"]["own"]["rows"]] == ["has 81 tokens", "has 100 tokens"]
    # Analysed again, without another look at the model.
    before = stamps(out / "activations")
    (out / "findings.parquet").unlink()
    assert atlas(*flags, "--data", long, "--bad-rows", "drop", "--out", out).code == 0
    assert stamps(out / "activations") == before
    assert tables(out)[0].equals(tables(tmp_path / "whole")[0])
    assert manifest(out)["dropped"] == record["dropped"]


def test_a_file_of_which_too_little_is_left_is_left_out_by_name(atlas, model_of, tmp_path):
    rest = write_csv(tmp_path / "rest.csv", ROWS)
    rows = [
        *((text, "yes", group) for text, _, group in ROWS[:8]),
        *(("z" * (70 + i), "no", f"h{i}") for i in range(4)),
    ]
    half = write_csv(tmp_path / "half.csv", rows)
    flags = ("--data", half, "--data", rest, "--bad-rows", "drop", "--out", tmp_path / "out")
    done = atlas("run", "hierarchy", "--model", model_of(64), *FAST, *flags)
    assert done.code == 0
    assert "half is left out: without 4 rows that do not fit: 'half.csv' has one class ('yes')" in done.err.replace(
        str(tmp_path) + "/", ""
    )
    assert [data["name"] for data in manifest(tmp_path / "out")["datasets"]] == ["rest"]


def test_a_task_that_does_not_fit_is_left_out_by_name(atlas, model_of, tmp_path):
    flags = ("--task", "items", "--task", "documents", "--size", "quick", "--out", tmp_path / "out")
    done = atlas("run", "hierarchy", "--model", model_of(64), *FAST, *flags, page=True)
    assert done.code == 0
    record = manifest(tmp_path / "out")
    assert record["unfit"]["sets"]
    assert not {data["level"] for data in record["datasets"]} & {"document"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(f"{name} is left out: " in page for name in record["unfit"]["sets"])


def test_passages_are_truncated_to_the_context_and_short_ones_dropped(atlas, model_of, tmp_path):
    words = [f"passage {i} " + " ".join(f"word{(7 * i + j) % 50}" for j in range(40)) for i in range(6)]
    texts = tmp_path / "own.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*words[:3], "too short", *words[3:]]))
    config = families.FAMILIES["llama"]()
    config.num_hidden_layers, config.max_position_embeddings = 7, 80
    model = families.save(tmp_path / "seven", config)
    small = ("--set", "view_passages=0", "--set", "draws=100", "--set", "surrogates=99", "--size", "quick")
    flags = ("run", "segments", "--model", model, "--data", texts, *small)
    line = the_line(atlas(*flags, "--quiet", "--out", tmp_path / "refused"))
    assert "own.jsonl', passage 4 has 9 tokens; expected at least 64 in every passage; join short passages" in line
    done = atlas(*flags, "--bad-rows", "drop", "--out", tmp_path / "out")
    assert done.code == 0
    assert "passages are truncated to 79 tokens, the context of seven" in done.err
    record = manifest(tmp_path / "out")
    assert record["segments"]["tokens"] == 79
    assert record["dropped"]["own"]["n"] == 1
