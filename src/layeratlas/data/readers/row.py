"""One row of a file: its fields, and its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from layeratlas.core.errors import DataError

# Takes the first row of a table; returns the headings of a format without header, or None if the row is the header.
Headings = Callable[[Sequence[str]], Sequence[str] | None]
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one row, and its location: `'own.jsonl', line 7`."""

    fields: dict[str, Any]
    where: str

    def text(self, name: str) -> str:
        """Return a field that must be a text; raises DataError otherwise."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise DataError(f"{self.where}: '{name}' is {brief(value)}", "a text", "fix it")
        return checked(value, self.where, name).strip()

    def texts(self, name: str) -> list[str]:
        """Return a field that must be a list of texts; raises DataError otherwise."""
        values = self.fields.get(name)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise DataError(f"{self.where}: '{name}' is {brief(values)}", "a list of texts", "fix it")
        return [checked(value, self.where, name).strip() for value in values]

    def number(self, name: str) -> int:
        """Return a field that must be a whole number, as a number or as text; raises DataError otherwise."""
        value = self.fields.get(name)
        if isinstance(value, str) and value.strip().removeprefix("-").isdecimal() and len(value) < 10:
            return int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise DataError(f"{self.where}: '{name}' is {brief(value)}", "a whole number", "fix it")
        return value


@dataclass(frozen=True, slots=True)
class RowFile:
    """The rows of a file, and those that could not be read, each with its place and the reason."""

    rows: list[Row] = field(default_factory=list)
    bad: list[tuple[str, DataError]] = field(default_factory=list)


def checked(text: str, where: str, name: str) -> str:
    """Return a text; raises DataError if it has half of a surrogate pair, which cannot be written to a file."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        problem = f"half of a surrogate pair (character {error.start + 1})"
        raise DataError(f"{where}: '{name}' has {problem}", "whole characters", "fix it") from None
    return text


def brief(value: Any) -> str:
    """Return a value as JSON on one line, shortened."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def is_index(name: str) -> bool:
    """Tell whether a column is the index that pandas writes into a table."""
    return not name.strip() or name.startswith(("Unnamed: ", "__index_level_"))
