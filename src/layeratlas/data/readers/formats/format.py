"""The definition of a file format: the columns that identify it, and the parser of its rows."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.choices import near_misses
from layeratlas.data.questions import Question
from layeratlas.data.readers.row import Row, brief

Parse = Callable[[Row], Question]
WRONG = 3
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBER = re.compile(r"-?\d+(?:,\d+)*(?:\.\d+)?|-?\.\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A file format of questions.

    `columns` identify it, `fits` distinguishes it from formats with the same columns, and `in_name` is a required
    substring of the file's name. `parser` takes all rows and returns the parser of a single row, which raises DataError
    with the row's place for invalid rows. Without a `name` or `level`, sets are named after their file. `prepare`
    renames or joins columns, given the file. `part_column` is the column by which `FILE#PART` selects rows, and
    `part_name` is the `#PART` that requests this interpretation of the columns. `language` is the column of the
    language, which must be the same throughout a set; `language_in_name` marks formats with the language at the end of
    the file's name. `evident` and `confounded` are those of the question set. Published files of `lenient` formats have
    rows without a false choice, which are left out and recorded. `made` says what the wrong choices are where the file
    has none, so that they are made from the true answers.
    """

    columns: frozenset[str]
    parser: Callable[[Sequence[Row]], Parse]
    name: str = ""
    level: str = ""
    fits: Callable[[Row], bool] = lambda row: True
    prepare: Callable[[list[Row], Path | None], list[Row]] = lambda rows, file: rows
    part_column: str = ""
    part_name: str = ""
    language: str = ""
    language_in_name: bool = False
    in_name: str = ""
    evident: bool = False
    confounded: str = ""
    lenient: bool = False
    made: str = ""

    def matches(self, row: Row, stem: str, parts: Sequence[str]) -> bool:
        """Tell whether a row has this format, given its file's name without suffix and the requested parts."""
        asked = not self.part_name or list(parts) == [self.part_name]
        return asked and self.in_name in stem.lower() and self.has_columns(row)

    def has_columns(self, row: Row) -> bool:
        """Tell whether a row has the columns of this format, with values of the right form."""
        return self.columns <= row.fields.keys() and self.fits(row)


def columns(names: str) -> frozenset[str]:
    """Return column names, written with spaces between them."""
    return frozenset(names.split())


def by_row(parse: Parse) -> Callable[[Sequence[Row]], Parse]:
    """Return the `parser` of a format whose rows are independent of each other."""
    return lambda rows: parse


def rename(names: dict[str, str]) -> Callable[[list[Row], Path | None], list[Row]]:
    """Return a `prepare` that renames columns."""
    return lambda rows, file: [Row({names.get(k, k): v for k, v in row.fields.items()}, row.where) for row in rows]


def make(
    row: Row, text: str, choices: Sequence[str], answers: Sequence[int], stratum: str = "", group: str = ""
) -> Question:
    """Return a row's question; `group`, `stratum` and `chain` are taken from the row's columns if it has them."""
    own_group, own_stratum = named(row, "group"), named(row, "stratum")
    return Question(
        text=text,
        choices=tuple(choices),
        answers=tuple(answers),
        group=own_group or group or text,
        stratum=own_stratum or stratum or "all",
        where=row.where,
        chain=" ".join(named(row, "chain").split()),
    )


def named(row: Row, column: str) -> str:
    """Return a column with a name, as text: 0 is a name, and empty means none.

    Raises DataError if it has a list, an object or a number that is not finite.
    """
    value = row.fields.get(column)
    if value is None:
        return ""
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise DataError(f"{row.where}: '{column}' is {brief(value)}", "a name or a number", "fix it")
    return str(value)


def position(answer: str, choices: Sequence[str], row: Row) -> int:
    """Return the index of an answer among the choices; raises DataError if it is not among them."""
    if not answer:
        raise DataError(f"{row.where} has no answer", f"one of {', '.join(choices)}", "use a split with answers")
    if answer not in choices:
        raise DataError(f"{row.where} has the answer '{answer}'", f"one of {', '.join(choices)}", "fix it")
    return choices.index(answer)


def label(row: Row, column: str, first: int = 0) -> int:
    """Return the 0-based position from a column that counts from `first`; raises DataError if it is empty."""
    value = row.fields.get(column)
    if value in (None, "", -1, "-1"):
        raise DataError(f"{row.where} has no answer ('{column}')", "a position", "use a split with answers")
    return row.number(column) - first


def is_number(text: Any) -> bool:
    """Tell whether a text is one number."""
    return isinstance(text, str) and _NUMBER.fullmatch(text.strip()) is not None


def near(number: str, row: Row, seed: str) -> list[str]:
    """Return near misses of a number, with commas and spaces in the same positions."""
    marks = [(place, character) for place, character in enumerate(number) if character in ", "]
    try:
        wrong = near_misses(plain(number), WRONG, random.Random(seed))
    except ValueError as error:
        raise DataError(f"{row.where}: {error}", "a number with similar ones", "drop it") from error
    for place, mark in marks:
        wrong = [text[:place] + mark + text[place:] for text in wrong]
    return wrong


def plain(number: str) -> str:
    """Return a number without commas and spaces."""
    return re.sub("[, ]", "", number)


def shuffled(row: Row, text: str, true: Sequence[str], false: Sequence[str], seed: str, group: str = "") -> Question:
    """Return a question with its choices in random order; the first answer is the first true choice."""
    choices = [*true, *false]
    random.Random(seed).shuffle(choices)
    return make(row, text, choices, [choices.index(choice) for choice in true], group=group)
