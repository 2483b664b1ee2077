"""The user's own passages, from text files and JSONL."""

from __future__ import annotations

import json
import re
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.passages import Passages


def read_passages(path: str | Path) -> Passages:
    """Read passages from `.txt` (paragraphs, or lines where no line is blank) or `.jsonl` (`text`, perhaps `kind`).

    The kind is the file's name where none is given. Raises DataError with the file, the line and what to do.
    """
    path = Path(path)
    if path.suffix.lower() not in (".txt", ".jsonl"):
        raise DataError(f"'{path}' ends in '{path.suffix}'", "a .txt or .jsonl file of passages", "convert it")
    if not path.is_file():
        raise DataError(f"'{path}' does not exist", "a file of passages", "check the path")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise DataError(f"'{path}' cannot be read ({error})", "text in UTF-8", "mend it") from error
    rows = _objects(path, content) if path.suffix.lower() == ".jsonl" else [(t, path.stem) for t in _split(content)]
    texts, kinds = tuple(text for text, _ in rows), tuple(kind for _, kind in rows)
    return Passages(path.stem, texts=texts, kinds=kinds, source=f"'{path}'")


def _split(content: str) -> list[str]:
    content = content.strip()
    blank = re.search(r"\n[ \t\r]*\n", content) is not None
    parts = re.split(r"\n(?:[ \t\r]*\n)+", content) if blank else content.splitlines()
    return [part.strip() for part in parts if part.strip()]


def _objects(path: Path, content: str) -> list[tuple[str, str]]:
    rows = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"'{path}', line {number} is no JSON ({error})", "an object a line", "mend it") from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise DataError(f"'{path}', line {number} has no 'text'", 'an object such as {"text": "..."}', "add it")
        rows.append((row["text"], str(row.get("kind") or path.stem)))
    return rows
