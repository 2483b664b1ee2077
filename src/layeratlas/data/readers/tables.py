"""Reads rows from CSV and TSV. Cells are texts: types are not guessed, `0001` stays `0001`."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.readers.files import MOST_BYTES, kind_of, lines_of, shown
from layeratlas.data.readers.row import Headings, Row, RowFile, is_index

Cells = tuple[list[str], int]
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def table_rows(text: str, path: Path, headings: Headings | None = None) -> RowFile:
    """Return the rows of a table; its first row is the header, unless `headings` recognises it as data."""
    delimiter = _delimiter(text, path)
    lines = (_tab_lines(text) if delimiter == "\t" else None) or _quoted_lines(text, path, delimiter)
    file = RowFile()
    header: Sequence[str] = ()
    for cells, line in lines:
        where = f"{shown(path)}, line {line}"
        if not header:
            bare = headings(cells) if headings else None
            header = bare or [cell.strip() for cell in cells]
            _check_header(header, path)
            if not bare:
                continue
        if len(cells) != len(header):
            expected = f"{len(header)} ({', '.join(header)})"
            file.bad.append((where, DataError(f"{where} has {len(cells)} fields", expected, "fix it")))
        else:
            file.rows.append(Row(dict(zip(header, cells, strict=True)), where))
    return file


def _delimiter(text: str, path: Path) -> str:
    """Return what separates the cells of the first line."""
    first = next((line for line in lines_of(text[:100_000]) if line.strip()), "")
    if kind_of(path) == ".tsv":
        return "\t"
    counts = {mark: first.count(mark) for mark in (",", "\t", ";")}
    if counts["\t"] and (not counts[","] or kind_of(path) != ".csv"):
        return "\t"
    return ";" if counts[";"] and not counts[","] else ","


def _tab_lines(text: str) -> list[Cells] | None:
    """Return the cells of a TSV in which every line is a row; quotes around a whole cell are removed.

    Quotes elsewhere are text, as in files without quoting. None if a row spans several lines.
    """
    lines = [(line.split("\t"), number) for number, line in enumerate(lines_of(text), 1) if line.strip()]
    broken = [cell for cells, _ in lines for cell in cells if cell.startswith('"') and not cell.endswith('"')]
    if len({len(cells) for cells, _ in lines}) > 1 and broken:
        return None
    return [([_unquoted(cell) for cell in cells], number) for cells, number in lines]


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if _QUOTED.fullmatch(cell) else cell


def _quoted_lines(text: str, path: Path, delimiter: str) -> Iterator[Cells]:
    """Yield the cells of each row; quoted cells may span several lines."""
    limit = csv.field_size_limit(MOST_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) or len(cells) > 1:
                yield cells, reader.line_num
    except csv.Error as error:
        problem = f"{shown(path)}, line {reader.line_num} cannot be read ({error})"
        raise DataError(problem, "well-formed rows", "fix the quotes") from error
    finally:
        csv.field_size_limit(limit)


def _check_header(header: Sequence[str], path: Path) -> None:
    name, count = Counter(header).most_common(1)[0]
    if count > 1 and not is_index(name):
        raise DataError(f"{shown(path)} has {count} columns named '{name}'", "each name once", "rename a column")
