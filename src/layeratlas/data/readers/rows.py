"""The rows of a question file as fields, each with its file and line: JSON, JSON lines, CSV and TSV, plain or gzip."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError

# Upstream MGSM has no header.
_BARE = ("question", "answer")
_HEADINGS = {"question", "Question", "answer", "subject", "object", "input", "target", "sub_label", "obj_label"}
_HEADINGS |= {"pattern"}


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one item and where it stands, `'own.jsonl', line 7`."""

    fields: dict[str, Any]
    where: str

    def text(self, name: str) -> str:
        """Return a field that must be a text; raises DataError where it is not."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise DataError(f"{self.where}: '{name}' is {json.dumps(value)}", "a text", "mend it")
        return value.strip()

    def texts(self, name: str) -> list[str]:
        """Return a field that must be a list of texts; raises DataError where it is not."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise DataError(f"{self.where}: '{name}' is {json.dumps(value)}", "a list of texts", "mend it")
        return [one.strip() for one in value]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file; raises DataError for what cannot be read, naming the line."""
    if not path.is_file():
        raise DataError(f"'{path}' does not exist", "a file of questions", "check the path")
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeError) as error:
        raise DataError(f"'{path}' cannot be read ({error})", "text in UTF-8, plain or gzip", "convert it") from error
    if not text.strip():
        raise DataError(f"'{path}' is empty", "at least one question", "check the file")
    start = text.lstrip()[0]
    found = list(_json(text, path) if start in "[{" else _table(text, path))
    if not found:
        raise DataError(f"'{path}' holds no rows", "at least one question", "check the file")
    return found


def _json(text: str, path: Path) -> Iterator[Row]:
    """An array of objects, an object with `examples`, or one object a line."""
    position = len(text) - len(text.lstrip())
    if text[position] == "[":
        yield from _array(text, position, path)
    elif '"examples"' in text and _whole(text):
        yield from _array(text, text.index("[", text.index('"examples"')), path)
    else:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield _object(line, 0, f"'{path}', line {number}")[0]


def _whole(text: str) -> bool:
    try:
        return isinstance(json.loads(text).get("examples"), list)
    except ValueError:
        return False


def _array(text: str, opening: int, path: Path) -> Iterator[Row]:
    position = _next(text, opening + 1)
    while position < len(text) and text[position] != "]":
        where = f"'{path}', line {text.count(chr(10), 0, position) + 1}"
        row, position = _object(text, position, where)
        yield row
        position = _next(text, position)
    if position >= len(text):
        raise DataError(f"'{path}' is broken off", "an array that is closed", "fetch it again")


def _next(text: str, position: int) -> int:
    while position < len(text) and (text[position].isspace() or text[position] == ","):
        position += 1
    return position


def _object(text: str, position: int, where: str) -> tuple[Row, int]:
    try:
        fields, end = json.JSONDecoder().raw_decode(text, position or len(text) - len(text.lstrip()))
    except ValueError as error:
        raise DataError(f"{where} is no JSON ({error})", "one object an item", "mend it") from error
    if not isinstance(fields, dict):
        raise DataError(f"{where} holds {type(fields).__name__}", "an object with named fields", "mend it")
    return Row(fields, where), end


def _table(text: str, path: Path) -> Iterator[Row]:
    tab = "\t" in text.split("\n", 1)[0]
    options: Any = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tab else {"strict": True}
    reader = csv.reader(io.StringIO(text, newline=""), **options)
    heading: list[str] | tuple[str, ...] = ()
    try:
        for cells in reader:
            if not cells:
                continue
            where = f"'{path}', line {reader.line_num}"
            if not heading:
                named = bool(_HEADINGS & set(cells))
                heading = cells if named else _BARE
                if named:
                    continue
            if len(cells) != len(heading):
                raise DataError(f"{where} has {len(cells)} fields", f"{len(heading)} ({', '.join(heading)})", "mend it")
            yield Row(dict(zip(heading, cells, strict=True)), where)
    except csv.Error as error:
        raise DataError(f"'{path}', line {reader.line_num} cannot be read ({error})", "well-formed rows", "") from error
