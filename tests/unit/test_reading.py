"""How files are read, whatever they hold: encodings, line ends, sizes, depth and names; texts stay as written."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layeratlas.core.errors import DataError
from layeratlas.data.names import safe_name
from layeratlas.data.passages import Passages
from layeratlas.data.readers import files
from layeratlas.data.readers.files import read_text
from layeratlas.data.readers.passages import read_passages
from layeratlas.data.readers.questions import read_questions
from layeratlas.data.readers.rows import read_rows
from layeratlas.data.readers.texts import read_table

QUESTIONS = [{"question": f"What is {i} + 1?", "choices": [str(i + 1), "x", "y"], "answer": 0} for i in range(4)]


def jsonl(rows) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def outcome(read, path) -> str:
    """Return the message of a refusal, or nothing."""
    try:
        read(path)
    except DataError as error:
        return str(error)
    return ""


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


# Text is text


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.parquet"])
def test_codes_with_zeros_in_front_stay_as_written_in_text_label_and_group(write, tmp_path, name):
    columns = {
        "text": [f"{i:04d}" for i in range(28)],
        "label": [f"0{i % 14}" for i in range(28)],
        "group": [("007", "7", "07", "0")[i // 7] + ("" if i < 14 else "x") for i in range(28)],
    }
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    if name.endswith(".parquet"):
        pq.write_table(pa.table(columns), tmp_path / name)
    elif name.endswith(".jsonl"):
        write(name, jsonl(rows))
    else:
        mark = "," if name.endswith(".csv") else "\t"
        write(name, "\n".join(mark.join(line) for line in [list(columns), *zip(*columns.values(), strict=True)]))
    data = read_table(tmp_path / name)
    assert data.texts == columns["text"]
    assert [item.label for item in data.items] == columns["label"]
    assert data.kind == "classes"
    assert [item.group for item in data.items] == columns["group"]


@pytest.mark.parametrize("label", ["NaN", "NA", "nan", "<NA>", "null", "N/A", "", "  "])
def test_a_missing_label_or_group_is_refused_with_its_line_or_dropped(write, label):
    rows = "".join(f"t{i},{'xy'[i % 2]},g{i}\n" for i in range(4))
    for row in (f"t9,{label},g9", f"t9,x,{label}"):
        path = write("t.csv", f"text,label,group\n{rows}{row}\n")
        with pytest.raises(DataError, match=r"t\.csv', line 6: '(label|group)' is .*; expected a value in every row"):
            read_table(path)
        data = read_table(path, bad_rows="drop")
        assert len(data.items) == 4
        assert [entry.where.rpartition(" ")[2] for entry in data.dropped] == ["6"]


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_missing_label_in_json_is_no_class(write, value):
    rows = [{"text": f"t{i}", "label": value if i == 2 else i % 2} for i in range(6)]
    with pytest.raises(DataError, match=r"line 3: 'label' is (NaN|empty)"):
        read_table(write("t.jsonl", jsonl(rows)))


@pytest.mark.parametrize(("labels", "kind"), [("auto", "number"), ("classes", "classes"), ("numbers", "number")])
def test_class_ids_can_be_declared_classes(write, labels, kind):
    path = write("t.csv", "text,label\n" + "".join(f"t{i},{i % 12}\n" for i in range(36)))
    data = read_table(path, labels=labels)
    assert data.kind == kind
    assert len(set(data.y)) == 12


def test_numbers_can_be_declared_where_they_are_few_and_words_cannot(write):
    few = write("t.csv", "text,label\na,1\nb,2\nc,1\nd,2.5\n")
    assert read_table(few, labels="numbers").y.tolist() == [1, 2, 1, 2.5]
    with pytest.raises(DataError, match=r"has the label 'x'; expected numbers"):
        read_table(write("w.csv", "text,label\na,1\nb,x\n"), labels="numbers")


def test_a_label_that_is_not_finite_is_refused(write):
    rows = "".join(f"t{i},{i}\n" for i in range(12))
    for label in ("inf", "1e999"):
        with pytest.raises(DataError, match="item 13 has a label that is not finite"):
            read_table(write("t.csv", f"text,label\n{rows}z,{label}\n"))


ONE_NAME = [
    ("t.csv", "text,label\na,x\nb,y\nc, x\nd,y\n", r"has the labels 'x' and ' x'"),
    ("t.csv", "text,label\na,1\nb,0\nc,1.0\nd,0\n", r"has the labels '1' and '1\.0'"),
    ("t.csv", "text,label\na,caf\u00e9\nb,y\nc,cafe\u0301\nd,y\n", "has the labels 'caf"),
    ("t.csv", "text,label,group\na,x,g\nb,y,h\nc,x,g \nd,y,h\n", r"has the groups 'g' and 'g '"),
    ("t.jsonl", jsonl([{"text": f"t{i}", "label": (True, 0, 1, False)[i % 4]} for i in range(8)]), "has the labels"),
    ("t.jsonl", jsonl([{"text": f"t{i}", "label": (1, 0, 1.0, 0)[i % 4]} for i in range(8)]), "has the labels"),
]


@pytest.mark.parametrize(("name", "content", "words"), ONE_NAME)
def test_one_name_written_in_two_ways_is_refused(write, name, content, words):
    """Each way would be a class of its own, or a group that training and testing share."""
    with pytest.raises(DataError, match=words + ".*; expected one way of writing a (label|group)"):
        read_table(write(name, content))


def test_integers_that_no_computer_number_holds_are_refused_and_decimals_are_numbers(write, tmp_path):
    rows = [{"text": f"t{i}", "label": 10**400 if i == 20 else i} for i in range(24)]
    with pytest.raises(DataError, match="item 21 has a label that is not finite"):
        read_table(write("t.jsonl", jsonl(rows)))
    table = {"text": [f"t{i}" for i in range(24)], "label": [Decimal(f"{i}.50") for i in range(24)]}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").y[2] == 2.5


@pytest.mark.parametrize("group", [0, 0.0, "0", False])
def test_group_zero_is_a_group(write, group):
    rows = [{**row, "group": group if i < 2 else "other"} for i, row in enumerate(QUESTIONS)]
    made = read_questions(str(write("q.jsonl", jsonl(rows))))
    assert [q.group for q in made.items] == [str(group)] * 2 + ["other"] * 2


def test_quotes_around_the_cells_of_a_tsv_are_taken_off_and_others_kept(write):
    text = 'text\tlabel\n"a ""b"" c"\tx\n"d" e "f"\ty\n"g\th"\tx\n'
    cells = [row.fields["text"] for row in read_rows(write("t.tsv", text.replace('"g\th"', '"g h"')), "").rows]
    assert cells == ['a "b" c', '"d" e "f"', "g h"]
    # A quoted cell may go over lines and tabs.
    assert read_rows(write("t.tsv", 'text\tlabel\n"a\nb\tc"\tx\n'), "").rows[0].fields["text"] == "a\nb\tc"


def test_columns_of_an_index_are_left_out(write):
    for index in ("", "Unnamed: 0"):
        table = f"{index},question,A,B,answer\n" + "".join(f"{i},What {i}?,a,b,A\n" for i in range(3))
        made = read_questions(str(write("q.csv", table)))
        assert (made.language, len(made.items), made.items[0].choices) == ("en", 3, ("a", "b"))


def test_semicolons_part_cells_where_the_header_has_no_comma(write):
    data = read_table(write("t.csv", "text;label\na, b;x\nc;y\nd;x\ne;y\n"))
    assert data.texts == ["a, b", "c", "d", "e"]


# One rule for every file


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-32"]


def encoded(text: str, encoding: str) -> bytes:
    return b"\xff\xfe" + text.encode("utf-16-le") if encoding == "utf-16-le-bom" else text.encode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("packed", [False, True])
def test_every_reader_knows_the_same_encodings(write, encoding, packed):
    def raw(text):
        return gzip.compress(encoded(text, encoding)) if packed else encoded(text, encoding)

    end = ".gz" if packed else ""
    assert read_table(write(f"t.csv{end}", raw("text,label\nä,x\nб,y\n桥,x\nd,y\n"))).texts == ["ä", "б", "桥", "d"]
    rows = [{"text": text, "label": "xy"[i % 2]} for i, text in enumerate("äб桥d")]
    assert read_table(write(f"t.jsonl{end}", raw(jsonl(rows)))).texts == list("äб桥d")
    assert len(read_questions(str(write(f"q.jsonl{end}", raw(jsonl(QUESTIONS))))).items) == 4
    assert read_passages(write(f"p.txt{end}", raw("eins ä\n\nzwei б"))).texts == ("eins ä", "zwei б")


@pytest.mark.parametrize("raw", [b"text,label\ncaf\xe9,x\n", "text,label\na,x\n".encode("utf-16-le"), b"\xff\xfe\x00"])
def test_other_encodings_end_in_one_line(write, raw):
    for name, read in (("t.csv", read_table), ("q.csv", read_questions), ("p.txt", read_passages)):
        with pytest.raises(DataError, match=r"(cannot be read|has zero bytes).*; expected text in UTF-8"):
            read(str(write(name, raw)))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_known_and_other_separators_are_text(write, end):
    separators = "a\u2028b\u2029c\x85d\x0ce"
    rows = [{**row, "question": row["question"] + separators} for row in QUESTIONS]
    made = read_questions(str(write("q.jsonl", jsonl(rows).replace("\n", end))))
    assert [q.text for q in made.items] == [row["question"] for row in rows]
    assert [q.where.rpartition(" ")[2] for q in made.items] == ["1", "2", "3", "4"]
    table = f"text,label{end}a\u2028b,x{end}c,y{end}d,x{end}e,y{end}"
    assert read_table(write("t.csv", table)).texts == ["a\u2028b", "c", "d", "e"]
    assert read_passages(write("p.txt", f"a\u2028b{end}c\x0cd{end}")).texts == ("a\u2028b", "c\x0cd")


def test_one_object_is_a_file_of_one_row_and_an_object_with_a_list_its_rows(write):
    (row,) = read_rows(write("one.json", json.dumps(QUESTIONS[0], indent=1)), "").rows
    assert row.fields == QUESTIONS[0]
    for name in ("examples", "data", "questions", "samples", "rows"):
        listed = read_rows(write("many.json", json.dumps({"about": f'"{name}": [', name: QUESTIONS}, indent=1)), "")
        assert [r.fields["question"] for r in listed.rows] == [row["question"] for row in QUESTIONS]
    viewer = {"rows": [{"row_idx": i, "row": row} for i, row in enumerate(QUESTIONS)]}
    assert len(read_questions(str(write("viewer.json", json.dumps(viewer)))).items) == 4


def test_a_name_twice_in_an_object_is_refused(write):
    with pytest.raises(DataError, match=r"line 1: the name 'label' is duplicated"):
        read_table(write("t.jsonl", '{"text": "a", "label": "x", "label": "y"}\n'))


@pytest.mark.parametrize("depth", [100, 5_000, 200_000])
@pytest.mark.parametrize("name", ["q.json", "q.jsonl"])
def test_deep_json_ends_in_one_line(write, depth, name):
    deep = "[" * depth + "]" * depth
    for text in (f'{{"question": {deep}}}', deep, '{"a":' * depth + "1" + "}" * depth):
        with pytest.raises(DataError, match=r"nested too deeply|an array; expected an object|not JSON"):
            read_questions(str(write(name, text + "\n")))


@pytest.mark.parametrize("column", ["text", "label", "group"])
def test_half_a_surrogate_pair_ends_in_one_line(write, column):
    rows = [{"text": f"t{i}", "label": "xy"[i % 2], "group": f"g{i}"} for i in range(4)]
    rows[1][column] = "a\ud800"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    with pytest.raises(DataError, match=rf"line 2: '{column}' has half of a surrogate pair \(character 2\)") as caught:
        read_table(write("t.jsonl", text))
    str(caught.value).encode()


def test_bytes_in_a_parquet_column_end_in_one_line(tmp_path):
    pq.write_table(pa.table({"text": [b"\xff\x00", b"a"], "label": ["x", "y"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 1: 'text' is bytes.*; expected one text, name or number per row"):
        read_table(tmp_path / "t.parquet")


def test_damaged_parquet_ends_in_one_line(tmp_path):
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"]}), tmp_path / "t.parquet")
    raw = (tmp_path / "t.parquet").read_bytes()
    for i in range(4, len(raw), 7):
        (tmp_path / "t.parquet").write_bytes(raw[:i] + bytes([raw[i] ^ 0xFF]) + raw[i + 1 :])
        assert "\n" not in outcome(read_table, tmp_path / "t.parquet")


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailing"])
def test_damaged_gzip_ends_in_one_line(write, damage):
    raw = gzip.compress(jsonl(QUESTIONS).encode(), mtime=0)
    broken = {"cut": raw[:40], "flipped": raw[:30] + b"\xff\xff" + raw[32:], "trailing": raw + b"junk"}[damage]
    with pytest.raises(DataError, match=r"q\.jsonl\.gz' cannot be read \(.+\); expected a whole gzip file"):
        read_questions(str(write("q.jsonl.gz", broken)))


def test_gzip_that_expands_beyond_reason_is_not_expanded(write, monkeypatch):
    monkeypatch.setattr(files, "_ALWAYS_ALLOWED", 2**20)
    path = write("q.jsonl.gz", gzip.compress(bytes(2**26)))
    with pytest.raises(DataError, match=r"expands from 0\.1 MB to more than that; expected at most 13 MB of text"):
        read_questions(str(path))


def test_files_that_are_too_large_are_refused_before_they_are_read(write, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"has 0\.0 GB; expected at most"):
        read_text(write("p.txt", "eleven char"), "text")


def test_several_gzip_members_are_one_text(write):
    packed = b"".join(gzip.compress(json.dumps(row).encode() + b"\n") for row in QUESTIONS)
    assert len(read_questions(str(write("q.jsonl.gz", packed))).items) == 4


# Names are names


def test_a_path_is_never_a_pattern(write):
    write("a1.csv", "text,label\nwrong,x\nwrong too,y\nthe other,x\nfile,y\n")
    path = write("a[1].csv", "text,label\na,x\nb,y\nc,x\nd,y\n")
    assert read_table(path).texts == ["a", "b", "c", "d"]
    assert read_table(path).name == "a[1]"
    for name in ("*.csv", "a?.csv", "a[12].csv"):
        with pytest.raises(DataError, match="does not exist"):
            read_table(path.parent / name)


@pytest.mark.parametrize(
    "path", ["~nobody-of-that-name/t.csv", "\udcff.csv", "a\0b.csv", "x" * 5_000 + ".csv", "no/../t.csv"]
)
def test_names_that_no_file_has_end_in_one_line(path):
    for read in (read_table, read_questions):
        with pytest.raises(DataError) as caught:
            read(path)
        message = str(caught.value)
        message.encode()
        assert "\n" not in message


@pytest.mark.parametrize("part", ["../../../../escaped", "a/b", "..", "/etc/x"])
def test_no_part_of_a_file_names_a_place_outside_the_run(write, part):
    rows = [{"relation": part, "subject": f"s{i}", "object": f"o{i}", "pattern": "[X] is [Y]."} for i in range(4)]
    made = read_questions(f"{write('f.jsonl', jsonl(rows))}#{part}")
    assert len(made.items) == 4
    assert "/" not in made.name
    assert not made.name.startswith(".")


def test_safe_names_are_kept_and_others_made_safe():
    for name in ("own", "mgsm-th", "bbh-a-b", "a[1]", "Übung 3", "桥"):
        assert safe_name(name) == name
    unsafe = ("../x", "a/b", "a\\b", "\n", "", "..", "x" * 5_000, "桥" * 300, "a\0b", "\ud800")
    for name in unsafe:
        safe = safe_name(name)
        assert safe == safe_name(safe)
        assert 0 < len(safe.encode()) <= 120
        assert not set(safe) & set("/\\\0\n")
        assert safe not in (".", "..")
    assert safe_name("x" * 5_000) != safe_name("x" * 5_001)
    with pytest.raises(DataError, match=r"a data set is named '\.\./x'"):
        Passages(name="../x", texts=("a", "b"), kinds=("k", "k"))


# Bad rows


def test_malformed_questions_are_left_out_and_listed(write):
    rows = [*QUESTIONS, {"question": "one choice?", "choices": ["a"], "answer": 0}, {"question": "no more"}]
    text = jsonl([*rows, QUESTIONS[0]]) + '{"broken": \n'
    path = write("q.jsonl", text)
    with pytest.raises(DataError, match=r"line 5 has 1 choices \(other malformed rows: 3, at 6, 7, 8\)"):
        read_questions(str(path))
    made = read_questions(str(path), bad_rows="drop")
    assert len(made.items) == 4
    assert {entry.where.rpartition(" ")[2]: entry.why for entry in made.dropped} == {
        "5": "has 1 choices",
        "6": "has the columns question",
        "7": "is duplicated",
        "8": "is not JSON (Expecting value)",
    }
    assert made.identity() == read_questions(str(write("q.jsonl", jsonl(QUESTIONS)))).identity()


def test_rows_with_too_many_cells_or_texts_in_two_groups_are_left_out_and_listed(write):
    good = "text,label,group\na,x,1\nb,y,2\nc,x,3\nd,y,4\n"
    data = read_table(write("t.csv", good + "e,x,5,extra\na,x,9\n"), bad_rows="drop")
    assert data.texts == ["a", "b", "c", "d"]
    assert [entry.why for entry in data.dropped] == ["has 4 fields", "the text is in the groups '1' and '9'"]


def test_empty_and_duplicated_passages_are_left_out_and_listed(write):
    path = write("p.jsonl", jsonl([{"text": "a"}, {"text": " "}, {"text": "b"}, {"text": "a"}]))
    with pytest.raises(DataError, match=r"line 2 is empty \(other malformed rows: 1, at 4\)"):
        read_passages(path)
    made = read_passages(path, bad_rows="drop")
    assert made.texts == ("a", "b")
    assert [entry.why for entry in made.dropped] == ["is empty", "is duplicated"]


def test_a_file_of_bad_rows_only_is_refused_even_so(write):
    for name, read in (("q.jsonl", read_questions), ("t.jsonl", read_table), ("p.jsonl", read_passages)):
        with pytest.raises(DataError):
            read(str(write(name, "no json\nat all\n")), bad_rows="drop")
