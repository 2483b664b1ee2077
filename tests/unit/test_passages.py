"""Passages: the project's own, the user's, and those that cannot be measured."""

from __future__ import annotations

import json

import pytest

from layeratlas.core import registry
from layeratlas.core.errors import DataError
from layeratlas.data.passages import Passages, noisy_copy
from layeratlas.data.readers.passages import read_passages


def test_the_own_passages_are_200_different_ones_of_two_kinds():
    (full,) = registry.get("tasks", "passages").build("full")
    assert len(full.texts) == 200
    assert [full.kinds.count(kind) for kind in ("narrative", "exposition")] == [100, 100]
    assert all(245 <= len(text.split()) <= 275 for text in full.texts)


def test_a_smaller_size_is_a_subset_with_as_many_of_each_kind():
    (quick,), (standard,), (full,) = (registry.get("tasks", "passages").build(s) for s in ("quick", "standard", "full"))
    assert len(quick.texts) == 24
    assert set(quick.texts) < set(standard.texts) < set(full.texts)
    assert quick.kinds.count("narrative") == 12
    assert quick.identity() != standard.identity()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ((), "has 0 passages; expected at least two"),
        (("one",), "has 1 passage; expected at least two"),
        (("one", " "), "passage 2 is empty"),
        (("one", "two", "one"), "passage 3 is duplicated"),
    ],
)
def test_what_cannot_be_measured_is_refused(texts, message):
    with pytest.raises(DataError, match=message):
        Passages("own", texts=texts, kinds=("x",) * len(texts))


def test_paragraphs_are_read_where_there_are_blank_lines_and_lines_elsewhere(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("first line\nof one\n \n\nsecond\n", encoding="utf-8")
    assert read_passages(path).texts == ("first line\nof one", "second")
    path.write_text("first\nsecond\r\nthird\n", encoding="utf-8")
    assert read_passages(path).texts == ("first", "second", "third")
    assert read_passages(path).kinds == ("own",) * 3


def test_jsonl_may_name_kinds(tmp_path):
    path = tmp_path / "own.jsonl"
    rows = [{"text": "a b", "kind": "code"}, {"text": "c d"}]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    assert read_passages(path).kinds == ("code", "own")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.doc", "a", "ends in '.doc'; expected a .txt or .jsonl file"),
        ("own.txt", "only one", "has 1 passage;"),
        ("own.txt", "", "has 0 passages;"),
        ("own.jsonl", "{", "line 1 is not JSON"),
        ("own.jsonl", '{"txt": "a"}', "line 1: 'text' is null; expected a text"),
        ("own.txt", None, "does not exist"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_passages(path)


def test_noisy_copies_differ_from_each_other_and_are_the_same_every_time():
    (quick,) = registry.get("tasks", "passages").build("quick")
    text = quick.texts[0]
    copies = [noisy_copy(text, number) for number in range(4)]
    assert copies == [noisy_copy(text, number) for number in range(4)]
    assert len({text, *copies}) == 5
    kept = [len(copy.split()) / len(text.split()) for copy in copies]
    assert all(0.8 < share < 0.98 for share in kept)
