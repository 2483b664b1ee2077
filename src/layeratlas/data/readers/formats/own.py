"""The user's own questions: a list of choices and an answer, or one column per choice and a letter; also MMLU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.files import stem_of
from layeratlas.data.readers.formats.format import (
    LETTERS,
    Format,
    Parse,
    by_row,
    columns,
    make,
    named,
    position,
    rename,
)
from layeratlas.data.readers.row import Row, brief

# The headings assigned to MMLU's tables, which have none; the first heading occurs in no other format.
_BARE_QUESTION = "question of mmlu"
MMLU_COLUMNS = (_BARE_QUESTION, "A", "B", "C", "D", "answer")
_LOCALE = re.compile(r"_([A-Z]{2})-[A-Z]{2}$")
_PLACE, _PLACES, _TEXT, _LETTER = "a position", "a list of positions", "a text", "a letter"


def listed(rows: Sequence[Row]) -> Parse:
    """Parse `question, choices, answer`; answers must be of the same kind as in row 1; `subject` is a stratum."""
    kind = _kind(rows[0])

    def parse(row: Row) -> Question:
        answer, choices = row.fields["answer"], row.texts("choices")
        if _kind(row) != kind and not (kind == _LETTER and _kind(row) == _TEXT):
            problem = f"{row.where} has the answer {brief(answer)}, {_kind(row)}"
            raise DataError(problem, f"{kind} as in the first row", "fix it")
        if kind == _TEXT:
            answers = [position(str(answer).strip(), choices, row)]
        elif kind == _LETTER:
            answers = [position(str(answer).strip(), LETTERS[: len(choices)], row)]
        elif kind == _PLACE:
            answers = [answer]
        elif kind == _PLACES:
            answers = answer
        else:
            raise DataError(f"{row.where} has the answer {brief(answer)}", "a position, positions or a text", "fix it")
        return make(row, row.text("question"), choices, answers, named(row, "subject"))

    return parse


def _kind(row: Row) -> str:
    answer, choices = row.fields.get("answer"), row.fields.get("choices")
    if isinstance(answer, list) and all(isinstance(place, int) and not isinstance(place, bool) for place in answer):
        return _PLACES
    if isinstance(answer, int) and not isinstance(answer, bool):
        return _PLACE
    if not isinstance(answer, str):
        return type(answer).__name__
    letters = LETTERS[: len(choices)] if isinstance(choices, list) else ""
    is_choice = isinstance(choices, list) and answer in choices
    return _LETTER if len(answer) == 1 and answer in letters and not is_choice else _TEXT


def lettered(row: Row) -> Question:
    """Parse `question, A, B, ..., answer`; the last choices may be empty. `subject`, `digits` and `op` are strata."""
    letters = [letter for letter in LETTERS if row.fields.get(letter) is not None]
    while letters and not row.text(letters[-1]):
        letters.pop()
    answer = position(row.text("answer"), letters, row)
    strata = [row.text(name) for name in ("digits", "op", "subject") if name in row.fields]
    return make(row, row.text("question"), [row.text(letter) for letter in letters], [answer], " ".join(strata))


def _with_subject(rows: list[Row], file: Path | None) -> list[Row]:
    """Add to rows the subject from their file's name, as in `college_physics_test.csv`."""
    subject = re.sub("_(test|val|dev)$", "", stem_of(file)) if file else ""
    named_rows = rename({_BARE_QUESTION: "question"})(rows, file)
    return [Row({**row.fields, "subject": subject}, row.where) for row in named_rows]


def _of_mmlu(row: Row) -> bool:
    return isinstance(row.fields["subject"], str)


def _multilingual(rows: list[Row], file: Path | None) -> list[Row]:
    """Convert the column names of the multilingual MMLU (`Question`, `Answer`, `Subject`) to lower case.

    The language is in the file's name (`mmlu_DE-DE.csv`). Row n is the same question in every language, so it is a
    group.
    """
    place = _LOCALE.search(stem_of(file)) if file else None
    renamed = []
    for number, row in enumerate(rows):
        fields = {name if name in LETTERS else name.lower(): value for name, value in row.fields.items()}
        known = {"group": f"mmmlu {number}"} | ({"lang": place[1].lower()} if place else {})
        renamed.append(Row(known | fields, row.where))
    return renamed


FORMATS = (
    Format(
        name="mmlu", level="knowledge", columns=columns("question subject choices answer"), parser=listed, fits=_of_mmlu
    ),
    Format(columns=columns("question choices answer"), parser=listed),
    Format(
        name="mmlu",
        level="knowledge",
        columns=frozenset(MMLU_COLUMNS),
        parser=by_row(lettered),
        prepare=_with_subject,
    ),
    Format(columns=columns("question A B answer"), parser=by_row(lettered)),
    Format(
        name="mmmlu",
        level="knowledge",
        columns=columns("Question A B C D Answer"),
        parser=by_row(lettered),
        prepare=_multilingual,
        language="lang",
    ),
)
