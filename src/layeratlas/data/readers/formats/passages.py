"""Questions about a passage: BoolQ, FOLIO, ReClor, Belebele."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, Parse, by_row, columns, label, make, named, position
from layeratlas.data.readers.row import Row, brief

_YES_NO = ("yes", "no")
# ISO 639-3 codes of Belebele's dialects, for which this package uses two-letter codes elsewhere.
_SHORT = {"eng": "en", "zho": "zh", "spa": "es", "fra": "fr", "deu": "de", "tha": "th", "jpn": "ja", "rus": "ru"}


def boolq(row: Row) -> Question:
    """Parse `question`, `passage` and `answer` (true or false; the hub's `label` is 1 or 0)."""
    answer = row.fields.get("answer", row.fields.get("label"))
    if isinstance(answer, str):
        answer = {"true": True, "false": False, "1": True, "0": False}.get(answer.lower())
    if answer not in (0, 1):
        raise DataError(f"{row.where} has the answer {brief(answer)}", "true or false", "use a split with answers")
    passage = row.text("passage")
    return make(row, f"{passage} {row.text('question').rstrip('?')}?", _YES_NO, [0 if answer else 1], group=passage)


def folio(rows: Sequence[Row]) -> Parse:
    """Parse `premises`, `conclusion` and `label`; the choices are the labels of the file."""
    labels = sorted({str(row.fields["label"]) for row in rows if isinstance(row.fields.get("label"), str)})

    def parse(row: Row) -> Question:
        premises = row.fields["premises"]
        lines = row.texts("premises") if isinstance(premises, list) else row.text("premises").splitlines()
        story = " ".join(line.strip() for line in lines)
        text = f"{story} True, false or uncertain: {row.text('conclusion')}"
        group = named(row, "story_id") or story
        return make(row, text, labels, [position(row.text("label"), labels, row)], group=group)

    return parse


def reclor(row: Row) -> Question:
    """Parse `context`, `question`, `answers` and `label`."""
    return make(row, f"{row.text('context')} {row.text('question')}", row.texts("answers"), [label(row, "label")])


def belebele(row: Row) -> Question:
    """Parse a passage, its question and four answers; a question is one group in every language."""
    text = f"{row.text('flores_passage')} {row.text('question')}"
    choices = [row.text(f"mc_answer{number}") for number in range(1, 5)]
    group = f"{named(row, 'link')} {named(row, 'question_number')}".strip()
    return make(row, text, choices, [label(row, "correct_answer_num", first=1)], group=group)


def _in_language(rows: list[Row], file: Path | None) -> list[Row]:
    """Replace the language by its short code: `eng_Latn` becomes `en`."""
    renamed = []
    for row in rows:
        code = str(row.fields.get("dialect", "eng_Latn"))
        language = _SHORT.get(code.partition("_")[0], code)
        renamed.append(Row({**row.fields, "lang": language}, row.where))
    return renamed


FORMATS = (
    Format(name="reclor", level="logic", columns=columns("context question answers label"), parser=by_row(reclor)),
    Format(name="boolq", level="reading", columns=columns("question passage answer"), parser=by_row(boolq)),
    Format(name="boolq", level="reading", columns=columns("question passage label"), parser=by_row(boolq)),
    Format(name="folio", level="logic", columns=columns("premises conclusion label"), parser=folio),
    Format(
        name="belebele",
        level="reading",
        columns=columns("flores_passage question mc_answer1 mc_answer4 correct_answer_num"),
        parser=by_row(belebele),
        prepare=_in_language,
        part_column="lang",
        language="lang",
    ),
)
