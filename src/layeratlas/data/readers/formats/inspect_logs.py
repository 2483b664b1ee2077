"""Logs of Inspect (inspect.aisi.org.uk) as JSON: their multiple-choice samples are asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import LETTERS, Format, by_row, columns, make, named, position
from layeratlas.data.readers.row import Row, brief


def sample(row: Row) -> Question:
    """Parse `input` (a text, or messages), `choices` and `target` (one or more letters); `id` is the group."""
    choices = row.texts("choices") if row.fields["choices"] else []
    if len(choices) < 2:
        problem = f"{row.where} has {len(choices)} choices"
        raise DataError(problem, "two or more, as multiple-choice tasks log them", "log a multiple-choice task")
    return make(row, _text(row), choices, _answers(row, choices), group=f"sample {named(row, 'id')}")


def _text(row: Row) -> str:
    """Return the input as one text; the texts of messages are joined by blank lines."""
    value: Any = row.fields["input"]
    if not isinstance(value, list):
        return row.text("input")
    contents = [part for message in value for part in _contents(message)]
    if not contents or not all(isinstance(text, str) for text in contents):
        raise DataError(f"{row.where}: 'input' is {brief(value)}", "a text, or messages of text", "fix it")
    return Row({"input": "\n\n".join(contents)}, row.where).text("input")


def _contents(message: Any) -> list[Any]:
    """Return the texts of a message, whose content is a text or a list of parts; None for a part that is not text."""
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else [{"text": content}]
    return [part.get("text") if isinstance(part, dict) else None for part in parts]


def _answers(row: Row, choices: list[str]) -> list[int]:
    target = row.fields["target"]
    letters = target if isinstance(target, list) else [target]
    return [position(str(letter).strip(), LETTERS[: len(choices)], row) for letter in letters]


def _first_epoch(rows: list[Row], file: Path | None) -> list[Row]:
    """Return each sample once; later epochs repeat the same samples."""
    return [row for row in rows if row.fields["epoch"] in (1, "1")]


FORMATS = (
    Format(
        name="inspect",
        level="",
        columns=columns("id epoch input choices target"),
        parser=by_row(sample),
        prepare=_first_epoch,
    ),
)
