"""The user's own passages, from text files, JSON lines and tables."""

from __future__ import annotations

import re
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.bad_rows import BadRowLog, BadRows
from layeratlas.data.names import safe_name
from layeratlas.data.passages import Passages
from layeratlas.data.readers.files import kind_of, lines_of, read_text, resolved, shown, stem_of
from layeratlas.data.readers.formats.format import named
from layeratlas.data.readers.row import Row
from layeratlas.data.readers.rows import read_rows

_EXPECTED = "a file of passages"
_NAMES = ("kind", "language", "group")
_TABLES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")


def read_passages(path: str | Path, bad_rows: BadRows = "refuse") -> Passages:
    """Read passages from `.txt` (paragraphs, or lines if no line is blank) or from rows with `text` and maybe `kind`.

    The kind defaults to the file's name. Rows may have a `language` instead, and a `group`, such as the number of the
    text that a passage translates. Raises DataError with the file, the line and what to do; with
    `bad_rows="drop"`, empty and duplicated passages are left out and listed in `dropped`.
    """
    file = resolved(path)
    if kind_of(file) not in (".txt", *_TABLES):
        raise DataError(f"{shown(file)} ends in '{file.suffix}'", "a .txt or .jsonl file of passages", "convert it")
    log = BadRowLog(bad_rows)
    stem = stem_of(file)
    rows = _paragraphs(file) if kind_of(file) == ".txt" else _rows(file, log)
    texts: dict[str, tuple[str, str, str]] = {}
    for row in rows:
        try:
            text, (kind, language, group) = row.text("text"), (named(row, name) for name in _NAMES)
            if not text:
                raise DataError(f"{row.where} is empty", "a text in every passage", "fill or drop it")
            if text in texts:
                raise DataError(f"{row.where} is duplicated", "each passage once", "drop one")
            texts[text] = (kind or language or stem, language, group)
        except DataError as error:
            log.add(row.where, error)
    dropped = log.settle()
    kinds, languages, groups = zip(*texts.values(), strict=True) if texts else ((), (), ())
    return Passages(
        name=safe_name(stem),
        texts=tuple(texts),
        kinds=kinds,
        groups=tuple(group or f"row {number}" for number, group in enumerate(groups)) if any(groups) else (),
        languages=kinds == languages and bool(kinds),
        source=shown(path),
        dropped=dropped,
    )


def _paragraphs(file: Path) -> list[Row]:
    """Return the paragraphs of a text, or its lines if no line is blank."""
    lines = lines_of(read_text(file, _EXPECTED).strip())
    content = "\n".join(lines)
    separator = r"\n(?:[ \t]*\n)+" if any(not line.strip() for line in lines) else r"\n"
    texts = filter(None, (text.strip() for text in re.split(separator, content)))
    return [Row({"text": text}, f"{shown(file)}: passage {n}") for n, text in enumerate(texts, 1)]


def _rows(file: Path, log: BadRowLog) -> list[Row]:
    table = read_rows(file, _EXPECTED)
    for where, error in table.bad:
        log.add(where, error)
    return table.rows
