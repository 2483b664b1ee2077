"""Texts with possible continuations: HellaSwag, PIQA, WinoGrande, COPA and XCOPA."""

from __future__ import annotations

from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.files import lines_of, read_text, stem_of
from layeratlas.data.readers.formats.format import Format, by_row, columns, label, make, named
from layeratlas.data.readers.row import Row

# The connective between a premise and its cause or its effect.
_CAUSE_EFFECT = {
    "en": ("because", "therefore"),
    "et": ("sest", "seetõttu"),
    "ht": ("poukisa", "donk sa"),
    "id": ("karena", "maka"),
    "it": ("perché", "quindi"),
    "qu": ("imataq", "chaymi"),
    "sw": ("kwa sababu", "kwa hiyo"),
    "ta": ("காரணமாக", "எனவே"),
    "th": ("เพราะ", "ดังนั้น"),
    "tr": ("çünkü", "bu yüzden"),
    "vi": ("bởi vì", "vì vậy"),
    "zh": ("因为", "所以"),
}


def hellaswag(row: Row) -> Question:
    """Parse `ctx`, `endings`, `label`; contexts of one source share their group."""
    text = row.text("ctx")
    return make(
        row, text, row.texts("endings"), [label(row, "label")], named(row, "split_type"), named(row, "source_id")
    )


def piqa(row: Row) -> Question:
    """Parse `goal`, `sol1`, `sol2`, `label`."""
    return make(row, row.text("goal"), [row.text("sol1"), row.text("sol2")], [label(row, "label")])


def _with_labels(rows: list[Row], file: Path | None) -> list[Row]:
    """Add labels to the rows of PIQA's first release, from `NAME-labels.lst` in the same folder."""
    if "label" in rows[0].fields:
        return rows
    beside = file.with_name(f"{stem_of(file)}-labels.lst") if file else None
    if beside is None or not beside.is_file():
        raise DataError(f"{rows[0].where} has no 'label'", f"labels in the rows or in '{beside and beside.name}'", "")
    labels = [line.strip() for line in lines_of(read_text(beside, "one label per line")) if line.strip()]
    if len(labels) != len(rows):
        raise DataError(f"'{beside}' has {len(labels)} labels", f"{len(rows)}, one per row", "fetch both again")
    return [Row({**row.fields, "label": value}, row.where) for row, value in zip(rows, labels, strict=True)]


def winogrande(row: Row) -> Question:
    """Parse `sentence` with a blank, `option1`, `option2`, `answer`; twin sentences share their group.

    The question is the text before the blank, and a choice is an option with the text after it.
    """
    before, blank, after = row.text("sentence").partition("_")
    if not blank:
        raise DataError(f"{row.where}: 'sentence' has no blank", "one '_'", "fix it")
    options = [row.text("option1"), row.text("option2")]
    answer, group = label(row, "answer", first=1), named(row, "qID").rpartition("-")[0]
    if not before.strip():
        return make(row, row.text("sentence"), options, [answer], group=group)
    return make(row, before.strip(), [f"{option}{after}" for option in options], [answer], group=group)


def copa(row: Row) -> Question:
    """Parse `premise`, `choice1`, `choice2`, `question` (cause or effect), `label`."""
    asked = row.text("question")
    if asked not in ("cause", "effect"):
        raise DataError(f"{row.where}: 'question' is '{asked}'", "cause or effect", "fix it")
    words = _CAUSE_EFFECT.get(named(row, "lang"), _CAUSE_EFFECT["en"])
    text = f"{row.text('premise').rstrip(' .。')} {words[asked == 'effect']}"
    group = f"copa {named(row, 'idx')}" if named(row, "idx") else ""
    return make(row, text, [row.text("choice1"), row.text("choice2")], [label(row, "label")], asked, group)


def _in_language(rows: list[Row], file: Path | None) -> list[Row]:
    """Add to rows the language from the end of the file's name, as in `test.th.jsonl`."""
    if "lang" in rows[0].fields or file is None:
        return rows
    words = [word for piece in file.name.split(".") for word in piece.replace("_", "-").split("-")]
    language = next((word for word in reversed(words) if word in _CAUSE_EFFECT), "en")
    return [Row({**row.fields, "lang": language}, row.where) for row in rows]


FORMATS = (
    Format(name="hellaswag", level="commonsense", columns=columns("ctx endings label"), parser=by_row(hellaswag)),
    Format(
        name="piqa", level="commonsense", columns=columns("goal sol1 sol2"), parser=by_row(piqa), prepare=_with_labels
    ),
    Format(
        name="winogrande",
        level="commonsense",
        columns=columns("sentence option1 option2 answer"),
        parser=by_row(winogrande),
    ),
    Format(
        name="copa",
        level="commonsense",
        columns=columns("premise choice1 choice2 question label"),
        parser=by_row(copa),
        prepare=_in_language,
        language="lang",
    ),
)
