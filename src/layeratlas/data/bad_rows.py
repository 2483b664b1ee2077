"""Malformed rows: refused by default, with all of them named, or left out and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from layeratlas.core.errors import DataError

BadRows = Literal["refuse", "drop"]
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """One row that was left out: file and line, and why."""

    where: str
    why: str


class BadRowLog:
    """The malformed rows of one file. `settle` raises for them, or returns them as left out."""

    def __init__(self, bad_rows: BadRows = "refuse") -> None:
        self._bad_rows = bad_rows
        self._errors: list[tuple[str, DataError]] = []
        self._expected: list[tuple[str, DataError]] = []

    def add(self, where: str, error: DataError, *, expected: bool = False) -> None:
        """Record a malformed row; `expected` rows, known from a published file, are left out under either policy."""
        (self._expected if expected else self._errors).append((where, error))

    def settle(self) -> tuple[Dropped, ...]:
        """Return the rows left out; raises DataError for the first refused row, with the lines of all refused rows."""
        self._errors.sort(key=_line)
        if self._errors and self._bad_rows == "refuse":
            error = self._errors[0][1]
            raise DataError(error.problem + self._others(), error.expected, error.todo)
        entries = sorted([*self._expected, *self._errors], key=_line)
        return tuple(Dropped(where=where, why=_reason(where, error)) for where, error in entries)

    def _others(self) -> str:
        lines = [where.rpartition(" ")[2] for where, _ in self._errors[1:]]
        listed = ", ".join(lines[:_MOST_LISTED]) + (", ..." if len(lines) > _MOST_LISTED else "")
        return f" (other malformed rows: {len(lines)}, at {listed})" if lines else ""


def _line(entry: tuple[str, DataError]) -> int:
    """Return the line or row number at the end of a place."""
    number = entry[0].rpartition(" ")[2]
    return int(number) if number.isdecimal() else 0


def _reason(where: str, error: DataError) -> str:
    return error.problem.removeprefix(where).lstrip(" :,")
