"""Questions whose answer is the label of a choice: ARC, OpenBookQA, CommonsenseQA, from the hub or first releases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, by_row, columns, make, position
from layeratlas.data.readers.row import Row, brief

_OPTION = re.compile(r"\s*\(([A-H1-8])\)\s*")


def keyed(row: Row) -> Question:
    """Parse `question`, `choices` with their labels, and `answerKey`."""
    labels, texts = _choices(row)
    stem = Row({"question": row.fields["question"]}, row.where).text("question")
    return make(row, stem, texts, [position(row.text("answerKey"), labels, row)])


def _choices(row: Row) -> tuple[list[str], list[str]]:
    """Return labels and texts, from two lists or from a list of pairs."""
    value: Any = row.fields["choices"]
    if isinstance(value, dict):
        inner = Row(value, row.where)
        labels, texts = inner.texts("label"), inner.texts("text")
    elif isinstance(value, list) and all(isinstance(choice, dict) for choice in value):
        pairs = [Row(choice, row.where) for choice in value]
        labels, texts = [pair.text("label") for pair in pairs], [pair.text("text") for pair in pairs]
    else:
        raise DataError(f"{row.where}: 'choices' is {brief(value)}", "choices with 'label' and 'text'", "fix it")
    if len(labels) != len(texts):
        raise DataError(f"{row.where} has {len(labels)} labels and {len(texts)} choices", "one label each", "fix it")
    return labels, texts


def _flattened(rows: list[Row], file: Path | None) -> list[Row]:
    """Move stem and choices out of `question`, where the first releases have them."""
    flat = []
    for row in rows:
        inner = row.fields.get("question")
        stem = {"question": inner.get("stem"), "choices": inner.get("choices")} if isinstance(inner, dict) else {}
        flat.append(Row({**row.fields, **stem}, row.where))
    return flat


def _stem_renamed(rows: list[Row], file: Path | None) -> list[Row]:
    return [Row({**row.fields, "question": row.fields.get("question_stem")}, row.where) for row in rows]


def in_text(row: Row) -> Question:
    """Parse a question with its options in the text, `... (A) one (B) another`, and `AnswerKey`."""
    stem, *rest = _OPTION.split(row.text("question"))
    labels, texts = rest[::2], rest[1::2]
    return make(row, stem, texts, [position(row.text("AnswerKey"), labels, row)])


def _nested(row: Row) -> bool:
    return isinstance(row.fields["question"], dict)


def _asks_of_a_concept(row: Row) -> bool:
    return _nested(row) and "question_concept" in row.fields["question"]


def _of_openbookqa(row: Row) -> bool:
    """Tell whether a nested row is OpenBookQA's, by its id: those are like `7-980`, ARC's like `Mercury_417466`."""
    return _nested(row) and re.fullmatch(r"\d+-\d+", str(row.fields.get("id"))) is not None


def _format(name: str, level: str, names: str, **more: Any) -> Format:
    return Format(name=name, level=level, columns=columns(names), parser=by_row(keyed), **more)


FORMATS: Sequence[Format] = (
    _format("commonsenseqa", "commonsense", "question question_concept choices answerKey"),
    _format("openbookqa", "knowledge", "question_stem choices answerKey", prepare=_stem_renamed),
    _format("arc", "knowledge", "question choices answerKey"),
    _format("commonsenseqa", "commonsense", "question answerKey", fits=_asks_of_a_concept, prepare=_flattened),
    _format("openbookqa", "knowledge", "question answerKey", fits=_of_openbookqa, prepare=_flattened),
    _format("arc", "knowledge", "question answerKey", fits=_nested, prepare=_flattened),
    Format(name="arc", level="knowledge", columns=columns("question AnswerKey"), parser=by_row(in_text)),
)
