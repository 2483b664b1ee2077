"""TruthfulQA in the formats of its authors, the hub and others."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, by_row, columns, shuffled
from layeratlas.data.readers.row import Row

_NAMES = {
    "Question": "question",
    "Best Answer": "best",
    "Correct Answers": "correct",
    "Incorrect Answers": "incorrect",
    "best_answer": "best",
    "correct_answers": "correct",
    "incorrect_answers": "incorrect",
}


def _renamed(rows: list[Row], file: Path | None) -> list[Row]:
    """Rename the columns of rows, and split answers separated by semicolons into lists."""
    renamed = []
    for row in rows:
        fields = {_NAMES.get(name, name): value for name, value in row.fields.items()}
        for name in ("correct", "incorrect"):
            if isinstance(fields.get(name), str):
                fields[name] = [answer.strip() for answer in fields[name].split(";") if answer.strip()]
        renamed.append(Row(fields, row.where))
    return renamed


def answers(row: Row) -> Question:
    """Parse the best, the correct and the incorrect answers.

    An answer repeated among the correct or the incorrect ones counts once. An answer in both lists (as in two of the
    published questions) is left out, unless it is the best answer.
    """
    best, correct, incorrect = row.text("best"), row.texts("correct"), row.texts("incorrect")
    true = dict.fromkeys([best, *(answer for answer in correct if answer not in incorrect)])
    false = dict.fromkeys(answer for answer in incorrect if answer not in {best, *correct})
    return _question(row, list(true), list(false))


def targets(row: Row) -> Question:
    """Parse `mc2_targets`, with the true answer of `mc1_targets` as the first."""
    first = [choice for choice, true in _labelled(row, "mc1_targets") if true]
    second = _labelled(row, "mc2_targets")
    true = list(dict.fromkeys([*first, *(choice for choice, is_true in second if is_true)]))
    return _question(row, true, [choice for choice, is_true in second if not is_true])


def _labelled(row: Row, name: str) -> list[tuple[str, bool]]:
    """Read a mapping of choices to 0 or 1, or lists `choices` and `labels`."""
    value = row.fields[name]
    pairs = []
    if isinstance(value, dict) and set(value) == {"choices", "labels"}:
        labels = value["labels"]
        pairs = list(
            zip(Row(value, row.where).texts("choices"), labels if isinstance(labels, list) else [], strict=False)
        )
    elif isinstance(value, dict):
        pairs = list(value.items())
    if not pairs or any(label not in (0, 1) for _, label in pairs):
        raise DataError(f"{row.where}: '{name}' is not a mapping of answers to 0 or 1", "one", "fix it")
    return [(str(choice).strip(), bool(label)) for choice, label in pairs]


def _question(row: Row, true: list[str], false: list[str]) -> Question:
    """Shuffle the choices, because their order reveals the true ones; the first answer remains the best one."""
    text = row.text("question")
    return shuffled(row, text, true, false, f"truthfulqa-{text}")


FORMATS = tuple(
    Format(name="truthfulqa", level="truthfulness", columns=frozenset(names), parser=by_row(parse), prepare=_renamed)
    for names, parse in (
        (("Question", "Best Answer", "Correct Answers", "Incorrect Answers"), answers),
        (("question", "best_answer", "correct_answers", "incorrect_answers"), answers),
        (columns("question best correct incorrect"), answers),
        (columns("question mc1_targets mc2_targets"), targets),
    )
)
