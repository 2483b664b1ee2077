"""A user compares two models: two runs, one command, one page; and what cannot be compared ends in one line."""

from __future__ import annotations

import shutil

import polars as pl
import pytest

import families
from commands import FAST, SMALL, manifest, the_line
from layeratlas.core.checksums import write_sealed

RUN = ("run", "hierarchy", *SMALL, *FAST)


@pytest.fixture(scope="module")
def runs(atlas, tiny_model_dir, tmp_path_factory):
    desk = tmp_path_factory.mktemp("compared")
    other = families.save(desk / "other-qwen", families.FAMILIES["qwen2"](), seed=3)
    started = [
        atlas.start(*RUN, "--model", model, "--out", desk / name)
        for model, name in ((tiny_model_dir, "a"), (other, "b"))
    ]
    assert all(process.wait().code == 0 for process in started)
    return desk


def test_two_runs_become_one_page(atlas, runs, tmp_path):
    done = atlas("compare", runs / "a", runs / "b", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == str(tmp_path / "out/comparison.html")
    page = (tmp_path / "out/comparison.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("tiny-llama", "other-qwen", "CKA", "H1", "X7"))
    found = pl.read_parquet(tmp_path / "out/findings.parquet")
    # Random weights read nothing that would have a place, and share no hierarchy of words.
    assert {"peak value", "size", "family"} <= set(found["finding"])
    assert set(pl.read_parquet(tmp_path / "out/differences.parquet")["paired"]) == {True}
    again = atlas("report", tmp_path / "out")
    assert (again.code, again.out.strip()) == (0, str(tmp_path / "out/comparison.html"))


def test_refusals_are_one_line_with_what_to_run(atlas, runs, tmp_path):
    texts = shutil.copytree(runs / "a", tmp_path / "texts", ignore=shutil.ignore_patterns("activations"))
    write_sealed(texts / "run.json", manifest(runs / "a") | {"texts": "of another kind"})
    for args, code, words in (
        (("a",), 2, ("1 run to compare", "layeratlas run hierarchy --model OTHER")),
        (("a", "a"), 2, ("named twice",)),
        (("b", tmp_path / "texts"), 3, ("other texts", "run again: layeratlas run hierarchy --model", "--out NEW")),
        (("a", tmp_path / "nowhere"), 3, ("does not exist",)),
        (("a", "b", "--family", "x"), 2, ("--family 'x' is invalid; expected NAME=PART",)),
    ):
        line = the_line(atlas("compare", *(runs / a if a in ("a", "b") else a for a in args)), code)
        assert all(word in line for word in words), line
