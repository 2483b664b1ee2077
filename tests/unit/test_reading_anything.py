"""Whatever bytes a file holds, reading it ends in material or in one line that says what to do."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layeratlas.core.errors import DataError
from layeratlas.data.names import safe_name
from layeratlas.data.readers.formats.catalogue import FORMATS
from layeratlas.data.readers.passages import read_passages
from layeratlas.data.readers.questions import read_questions
from layeratlas.data.readers.texts import read_table

BOUNDED = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
READERS = {
    "questions": (read_questions, ("q.jsonl", "q.json", "q.csv", "q.tsv", "q.txt")),
    "texts": (read_table, ("t.csv", "t.jsonl", "t.tsv", "t.parquet", "t.csv.gz")),
    "passages": (read_passages, ("p.txt", "p.jsonl", "p.csv")),
}
COLUMNS = sorted(
    set().union(*(kind.columns for kind in FORMATS)) | {"text", "label", "group", "stratum", "kind", "shot"}
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["A", "0", "1", "True"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(COLUMNS), inner, max_size=4)
)
ROWS = st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES, max_size=8), max_size=5)


def check(reader: str, folder, raw: bytes) -> None:
    """Read bytes under every name, with bad rows refused and dropped."""
    read, names = READERS[reader]
    for name in names:
        (folder / name).write_bytes(raw)
        for bad_rows in ("refuse", "drop"):
            try:
                material = read(str(folder / name), bad_rows=bad_rows)
            except DataError as error:
                message = str(error)
                message.encode()
                assert "\n" not in message
                assert len(message) < 5_000
            else:
                assert material.name == safe_name(material.name)
                json.dumps(material.identity()).encode()
                assert bad_rows == "drop" or all(entry.why == "has 1 choices" for entry in material.dropped)


@pytest.mark.parametrize("reader", READERS)
@BOUNDED
@given(raw=st.binary(max_size=300))
def test_any_bytes(reader, tmp_path, raw):
    check(reader, tmp_path, raw)
    check(reader, tmp_path, gzip.compress(raw))


@pytest.mark.parametrize("reader", READERS)
@BOUNDED
@given(raw=st.text(alphabet='",;\t\n\r\\{}[]:#ab01 \ufeff\u2028', max_size=200))
def test_any_text_of_marks(reader, tmp_path, raw):
    check(reader, tmp_path, raw.encode())


@pytest.mark.parametrize("reader", READERS)
@BOUNDED
@given(value=VALUES)
def test_any_json(reader, tmp_path, value):
    check(reader, tmp_path, json.dumps(value).encode())


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: f"{kind.name or 'own'}-{min(kind.columns)}")
@settings(BOUNDED, max_examples=60)
@given(data=st.data())
def test_any_values_in_the_columns_of_every_format(kind, tmp_path, data):
    """Every column holds something, of a likely kind or not."""
    likely = st.one_of(
        VALUES, st.sampled_from([["a", "b"], {"label": ["A", "B"], "text": ["x", "y"]}, [["c", "d"]] * 2])
    )
    row = st.fixed_dictionaries(
        dict.fromkeys(sorted(kind.columns), likely), optional={"group": SCALARS, "shot": SCALARS}
    )
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    check("questions", tmp_path, "\n".join(json.dumps(row) for row in rows).encode())


@pytest.mark.parametrize("reader", READERS)
@BOUNDED
@given(rows=ROWS)
def test_any_rows(reader, tmp_path, rows):
    check(reader, tmp_path, json.dumps(rows).encode())
    check(reader, tmp_path, json.dumps({"samples": rows, "name": "n"}).encode())
