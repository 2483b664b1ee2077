"""Every format of questions that can be read, in one place."""

from __future__ import annotations

from collections.abc import Sequence

from layeratlas.core.errors import DataError
from layeratlas.data.readers.formats import (
    bbh,
    completions,
    facts,
    inspect_logs,
    keyed,
    lm_eval,
    own,
    pairs,
    passages,
    solutions,
    truthfulqa,
    word_problems,
)
from layeratlas.data.readers.formats.format import LETTERS, Format
from layeratlas.data.readers.json_rows import FILE
from layeratlas.data.readers.row import Row

# A row has the first format whose columns it has. Formats come before those that need only a subset of their columns.
FORMATS: tuple[Format, ...] = (
    *lm_eval.FORMATS,
    *inspect_logs.FORMATS,
    *passages.FORMATS,
    *truthfulqa.FORMATS,
    *solutions.FORMATS,
    *keyed.FORMATS,
    *completions.FORMATS,
    *pairs.FORMATS,
    *own.FORMATS,
    *word_problems.FORMATS,
    *bbh.FORMATS,
    *facts.FORMATS,
)
_KNOWN = frozenset().union(*(kind.columns for kind in FORMATS)) - set(LETTERS) - {"label"} | {"relation", "pattern"}
_SEARCHED = 100


def headings(first: Sequence[str]) -> Sequence[str] | None:
    """Return the headings of a published table without header, given its first row; None if this row is a header."""
    if _KNOWN & {cell.strip() for cell in first}:
        return None
    if len(first) == 2:
        return pairs.CLAMS_COLUMNS if first[0] in ("True", "False") else ("question", "answer")
    return own.MMLU_COLUMNS if len(first) == 6 and first[5].strip() in tuple("ABCD") else None


def recognise(rows: Sequence[Row], stem: str, parts: Sequence[str], where: str) -> Format:
    """Return the format of the first rows; raises DataError, with the known columns, if there is none."""
    for row in rows[:_SEARCHED]:
        for kind in FORMATS:
            if kind.matches(row, stem, parts):
                return kind
    columns = " ".join(sorted(str(name) for name in rows[0].fields))[:500]
    known = "; ".join(dict.fromkeys(" ".join(sorted(kind.columns - {FILE})) for kind in FORMATS))
    raise DataError(f"{where} has the columns {columns}", f"one of: {known}", "rename the columns")
