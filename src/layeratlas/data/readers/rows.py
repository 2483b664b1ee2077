"""Reads the rows of a file in any supported format."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.readers.files import decode, kind_of, read_bytes, shown
from layeratlas.data.readers.json_rows import json_rows
from layeratlas.data.readers.parquet import parquet_rows
from layeratlas.data.readers.row import Headings, Row, RowFile, is_index
from layeratlas.data.readers.tables import table_rows


def read_rows(path: Path, expected: str, headings: Headings | None = None) -> RowFile:
    """Return the rows of a CSV, TSV, JSON, JSON lines or Parquet file, plain or gzip.

    `expected` describes the expected content in error messages. Columns of a pandas index are left out. Raises
    DataError if the file as a whole cannot be read; single malformed rows are returned in `bad`.
    """
    raw = read_bytes(path, expected)
    kind = kind_of(path)
    if raw[:4] == b"PAR1" or kind == ".parquet":
        file = parquet_rows(raw, path)
    else:
        text = decode(raw, path)
        if not text.strip():
            raise DataError(f"{shown(path)} is empty", expected, "check the file")
        if kind in (".json", ".jsonl", ".ndjson") or (kind not in (".csv", ".tsv") and text.lstrip()[0] in "[{"):
            file = json_rows(text, path)
        else:
            file = table_rows(text, path, headings)
    if not file.rows and not file.bad:
        raise DataError(f"{shown(path)} has no rows", expected, "check the file")
    return RowFile([_without_index(row) for row in file.rows], file.bad)


def _without_index(row: Row) -> Row:
    if not any(is_index(name) for name in row.fields):
        return row
    return Row({name: value for name, value in row.fields.items() if not is_index(name)}, row.where)
