"""Minimal pairs of sentences: BLiMP and CLAMS. The choices are the two sentences, judged without context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from layeratlas.core.errors import DataError
from layeratlas.data.choices import arrange, positions
from layeratlas.data.questions import Question
from layeratlas.data.readers.files import stem_of
from layeratlas.data.readers.formats.format import Format, Parse, columns, make, named, rename
from layeratlas.data.readers.row import Row

QUESTION = "Which sentence is grammatical?"
_FOLDER = re.compile("([a-z]{2})_evalset")
CLAMS_COLUMNS = ("grammatical", "sentence")


def pairs(rows: Sequence[Row]) -> Parse:
    """Parse `sentence_good` and `sentence_bad`; each pair is a group, and each paradigm a stratum."""
    place = positions(2, "pairs")

    def parse(row: Row) -> Question:
        good, bad = row.text("sentence_good"), row.text("sentence_bad")
        paradigm = named(row, "UID") or named(row, "paradigm")
        wrong = [bad] if bad != good else []  # eight of BLiMP's pairs have equal sentences
        choices, answers = arrange(good, wrong, min(next(place), len(wrong)))
        return make(row, QUESTION, choices, answers, paradigm, f"{paradigm} {good}")

    return parse


def _joined(rows: list[Row], file: Path | None) -> list[Row]:
    """Join the lines of CLAMS (`True` or `False` and a sentence) into pairs.

    The language is taken from the folder, as in `de_evalset/simple_agrmt.txt`. A sentence that is not followed by a
    `False` line is paired with itself; like other rows without a false choice, it is left out and recorded.
    """
    paradigm = stem_of(file) if file else ""
    place = _FOLDER.match(file.absolute().parent.name) if file else None
    language = {"lang": place[1]} if place else {}
    fixed = {"UID": paradigm, **language}
    joined, good = [], ""
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        sentence, grammatical = row.text("sentence"), row.text("grammatical")
        if grammatical not in ("True", "False") or (grammatical == "False" and not good):
            raise DataError(f"{row.where} is '{grammatical}'", "True, then False, for each pair", "fix it")
        good = sentence if grammatical == "True" else good
        alone = grammatical == "True" and (following is None or following.text("grammatical") == "True")
        if grammatical == "False" or alone:
            joined.append(Row({"sentence_good": good, "sentence_bad": sentence, **fixed}, row.where))
    if all(row.fields["sentence_good"] == row.fields["sentence_bad"] for row in joined):
        raise DataError(f"{rows[0].where} and the rest have no pair", "True, then False, for each pair", "fix it")
    return joined


_SHORT = {"uid": "UID", "good": "sentence_good", "bad": "sentence_bad"}
_pairs = partial(Format, level="grammar", parser=pairs, evident=True, lenient=True)
FORMATS = (
    _pairs(name="blimp", columns=columns("sentence_good sentence_bad")),
    _pairs(name="blimp", columns=columns("uid good bad"), prepare=rename(_SHORT)),
    _pairs(name="clams", columns=frozenset(CLAMS_COLUMNS), prepare=_joined, language="lang"),
)
