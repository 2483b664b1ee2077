"""Right and wrong worked solutions: the MPS and xMPS files published with arXiv 2312.04333."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from layeratlas.data.choices import MIXED, TRANSLATED
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, by_row, columns, is_number, plain, shuffled
from layeratlas.data.readers.row import Row

_ANSWER = "The answer is"


def solutions(row: Row) -> Question:
    """Parse right and wrong worked solutions, each joined to one line, as in the published evaluation."""
    text, true = row.text("question"), _in_one_line(row, "truth_answer")
    false = [solution for solution in _in_one_line(row, "error") if solution not in true]
    question = shuffled(row, text, true, false, f"truthfulqa-{text}")
    chain, _, final = question.truth.rpartition(_ANSWER)
    number = plain(final.strip().rstrip("."))
    return replace(question, chain=chain.strip(), final=number) if is_number(number) else question


def _in_one_line(row: Row, name: str) -> list[str]:
    value = row.fields.get(name)
    lists = Row({name: [value]}, row.where) if isinstance(value, str) else row
    texts = [" ".join(text.replace("####", _ANSWER).split("\n")) for text in lists.texts(name)]
    return list(dict.fromkeys(texts))


# The reasoning files have the same columns as the others; their names identify them (`gsm8k_reason_mc_pure.json`).
MIXED_REASONING = "cross-lingual reasoning, mixed"
_MPS = columns("question truth_answer error")
_mps = partial(Format, name="mps", columns=_MPS, parser=by_row(solutions), lenient=True, language_in_name=True)
_xmps = partial(_mps, name="xmps", columns=_MPS | {"m_truth_answer"}, confounded=TRANSLATED)
FORMATS = (
    _xmps(level=MIXED_REASONING, in_name="reason"),
    _xmps(level=MIXED, evident=True),
    _mps(level="reasoning", in_name="reason"),
    _mps(level="calculation", evident=True),
)
