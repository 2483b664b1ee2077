"""JSON and JSON lines to rows, in time linear in the length of the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.readers.files import lines_of, shown
from layeratlas.data.readers.row import Row, RowFile

# The fields in which published files keep their rows, next to fields that describe the whole file.
_LISTS = ("examples", "samples", "rows", "data", "questions")
_DEEPEST = 64
# The field of a row with the information of its file on all rows.
FILE = "file"


class _DuplicateError(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateError(f"the name '{next(n for n in names if names.count(n) > 1)}' is duplicated")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def json_rows(text: str, path: Path) -> RowFile:
    """Return the rows of an array, of one object, of an object that holds a list of rows, or of one object per line."""
    start = len(text) - len(text.lstrip())
    if text[start] == "[":
        return _array(text, start, path)
    whole = _whole(text, start)
    if whole is None:
        return _lines(text, path)
    name = next((name for name in _LISTS if isinstance(whole.get(name), list)), "")
    if not name:
        return _collect([(whole, f"{shown(path)}, line {text.count(chr(10), 0, start) + 1}")])
    described = {other: value for other, value in whole.items() if other != name}
    file = _collect((value, f"{shown(path)}, row {number}") for number, value in enumerate(whole[name], 1))
    return RowFile([Row({**_inner(row.fields), FILE: described}, row.where) for row in file.rows], file.bad)


def _inner(fields: dict[str, Any]) -> dict[str, Any]:
    """Unwrap a row of the hub's viewer, `{"row_idx": 0, "row": {...}}`; other fields are returned unchanged."""
    return fields["row"] if isinstance(fields.get("row"), dict) else fields


def _collect(values: Iterable[tuple[Any, str]]) -> RowFile:
    """Sort values into rows and malformed rows."""
    file = RowFile()
    for value, where in values:
        try:
            file.rows.append(_row(value, where))
        except DataError as error:
            file.bad.append((where, error))
    return file


def _whole(text: str, start: int) -> dict[str, Any] | None:
    """Return the content of a file that is a single object; None for JSON lines and for invalid JSON."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not text[end:].strip() else None


def _lines(text: str, path: Path) -> RowFile:
    file = RowFile()
    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            where = f"{shown(path)}, line {number}"
            try:
                value, end = _decode(line, len(line) - len(line.lstrip()), where)
                if line[end:].strip():
                    raise DataError(f"{where} goes on after its object", "one object per line", "fix it")
                file.rows.append(_row(value, where))
            except DataError as error:
                file.bad.append((where, error))
    return file


def _array(text: str, opening: int, path: Path) -> RowFile:
    return _collect(_elements(text, opening, path))


def _elements(text: str, opening: int, path: Path) -> Iterator[tuple[Any, str]]:
    """Yield the elements of an array, each with its line."""
    counted, line = opening, text.count("\n", 0, opening) + 1
    position = _next(text, opening + 1)
    while position < len(text) and text[position] != "]":
        line, counted = line + text.count("\n", counted, position), position
        where = f"{shown(path)}, line {line}"
        value, position = _decode(text, position, where)
        yield value, where
        position = _next(text, position)
    if position >= len(text):
        raise DataError(f"{shown(path)} is cut short", "an array that is closed", "fetch it again")
    if text[position + 1 :].strip():
        raise DataError(f"{shown(path)} goes on after its array", "one array", "fix it")


def _next(text: str, position: int) -> int:
    while position < len(text) and (text[position].isspace() or text[position] == ","):
        position += 1
    return position


def _decode(text: str, position: int, where: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except _DuplicateError as error:
        raise DataError(f"{where}: {error}", "each name once", "fix it") from None
    except ValueError as error:
        reason = str(error).partition(": line")[0].partition(";")[0]
        raise DataError(f"{where} is not JSON ({reason})", "one object per row", "fix it") from None
    except RecursionError:
        raise DataError(f"{where} is nested too deeply", f"at most {_DEEPEST} levels", "flatten it") from None


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where} is {_kind(value)}", "an object with named fields", "fix it")
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
        level = [inner for inner in level if isinstance(inner, dict | list)]
        if not level:
            return Row(value, where)
    raise DataError(f"{where} is nested too deeply", f"at most {_DEEPEST} levels", "flatten it")


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
