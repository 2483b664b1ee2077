"""The user's own files: what is read from them, and each way in which they can be wrong."""

from __future__ import annotations

import polars as pl
import pytest

from layeratlas.core.errors import DataError
from layeratlas.data.readers.texts import read_table

TEXTS = ["An apple", 'A "quoted", comma', "Ein Käse", "two\nlines"]
FRAME = pl.DataFrame({"text": TEXTS, "label": ["x", "y", "x", "y"], "group": [1, 2, 3, 4], "note": ["", "", "", ""]})
WRITE = {".csv": FRAME.write_csv, ".jsonl": FRAME.write_ndjson, ".ndjson": FRAME.write_ndjson}
WRITE[".parquet"] = FRAME.write_parquet


@pytest.mark.parametrize("suffix", WRITE)
def test_every_format_gives_the_same_data(tmp_path, suffix):
    path = tmp_path / f"mine{suffix}"
    WRITE[suffix](path)
    data = read_table(path)
    assert data.name == "mine"
    assert data.kind == "classes"
    assert data.texts == TEXTS
    assert [item.label for item in data.items] == ["x", "y", "x", "y"]
    assert [item.group for item in data.items] == ["1", "2", "3", "4"]


def test_a_suffix_in_capitals_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "MINE.CSV"
    path.write_bytes("\ufefftext,label\na,x\nb,y\nc,x\nd,y\n".encode())
    assert read_table(path).texts == ["a", "b", "c", "d"]


def test_without_groups_each_text_is_its_own(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\na,x\nb,y\nc,x\nd,y\n")
    assert [item.group for item in read_table(path).items] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("step", [1, 0.5])
@pytest.mark.parametrize(("distinct", "kind"), [(10, "classes"), (11, "number")])
def test_many_distinct_numbers_are_numbers_and_few_are_classes(tmp_path, distinct, kind, step):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % distinct * step}\n" for i in range(3 * distinct)))
    data = read_table(path)
    assert data.kind == kind
    assert len(set(data.y)) == distinct
    if kind == "number":
        assert data.y.tolist() == [i % distinct * step for i in range(3 * distinct)]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_labels_that_turn_into_words_late_in_the_file_are_classes(tmp_path, suffix):
    labels = ["0", "1"] * 100 + ["unknown"] * 2
    frame = pl.DataFrame({"text": [f"t{i}" for i in range(202)], "label": labels})
    path = tmp_path / f"t{suffix}"
    (frame.write_csv if suffix == ".csv" else frame.write_ndjson)(path)
    assert read_table(path).classes == ["0", "1", "unknown"]


BAD = {
    "notes.txt": ("x", r"ends in '\.txt'; expected a \.csv, \.jsonl or \.parquet file; convert it"),
    "bare": ("x", r"ends in ''; expected a \.csv"),
    "empty.csv": ("", r"is empty; expected a header and at least two labelled texts; check the file"),
    "empty.jsonl": ("", r"is empty; expected a header and at least two"),
    "header.csv": ("text,label\n", r"has no rows; expected a header and at least two labelled texts"),
    "columns.csv": ("words,label\na,x\n", r"has the columns words, label; expected 'text' and 'label'"),
    "columns.jsonl": ('{"text": "a"}\n', r"has the columns text; expected 'text' and 'label'"),
    "null.csv": ("text,label\na,x\nb,\n", r"line 3: 'label' is empty; expected a value in every row; fill or drop it"),
    "text.csv": ("text,label\n,x\nb,y\n", r"line 2: 'text' is empty"),
    "group.csv": ("text,label,group\na,x,1\nb,y,2\nc,x,\n", r"line 4: 'group' is empty"),
    "key.jsonl": ('{"text":"a","label":"x"}\n{"text":"b"}\n', r"line 2: 'label' is empty"),
    "ragged.csv": ("text,label\na,x\nb,y,z\n", r"line 3 has 3 fields; expected 2 \(text, label\); fix it"),
    "quote.csv": (
        'text,label\n"a,x\nb,y\n',
        r"line 3 cannot be read \(.+\); expected well-formed rows",
    ),
    "cut.jsonl": ('{"text": "a"\n', r"line 1 is not JSON \(.+\); expected one object per row; fix it"),
    "words.jsonl": ("hello\n", r"line 1 is not JSON \(.+\); expected one object per row"),
    "arrays.jsonl": ("[1, 2]\n", r"line 1 is a number \(other .+\); expected an object with named fields"),
    "fake.parquet": ("no parquet", r"cannot be read \(.+\); expected well-formed parquet"),
    "nested.jsonl": (
        '{"text":["a"],"label":"x"}\n{"text":["b"],"label":"y"}\n',
        r"line 1: 'text' is \[\"a\"\] .+; expected one text, name or number per row; flatten or convert it",
    ),
    "blank.csv": ('text,label\na,x\n" ",y\n', r"line 3: 'text' is empty"),
    "nan.csv": (
        "text,label\n" + "".join(f"t{i},{i}\n" for i in range(12)) + "z,NaN\n",
        r"line 14: 'label' is 'NaN'",
    ),
    "single.csv": ("text,label\na,x\nb,x\n", r"has one class \('x'\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(tmp_path / name)
    assert str(caught.value).startswith(f"'{tmp_path / name}'")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé,x\nb,y\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv' cannot be read \(.*utf-?8.*\); expected text in UTF-8; convert"):
        read_table(tmp_path / "latin.csv")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv' does not exist; expected a header and at least two labelled"):
        read_table(tmp_path / "nothing.csv")


@pytest.mark.parametrize(("scale", "fits"), [(1e307, False), (1e-180, False), (1e100, True), (1e-100, True)])
def test_numbers_whose_squares_overflow_or_vanish_are_refused(tmp_path, scale, fits):
    path = tmp_path / "far.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{(i % 13 + 1) * scale!r}\n" for i in range(40)))
    if fits:
        assert read_table(path).kind == "number"
    else:
        with pytest.raises(DataError, match=r"far\.csv' has labels from .* to .*; give them in another unit"):
            read_table(path)
