"""BIG-Bench Hard, whose options are in the text."""

from __future__ import annotations

import re

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, by_row, columns, make, named, position
from layeratlas.data.readers.row import Row

# Some tasks have these options without listing them.
_CLOSED = (("True", "False"), ("Yes", "No"), ("yes", "no"), ("valid", "invalid"))
_OPTION = re.compile(r"^[ ]*(?:\(([A-Z])\)|-)[ ]+(.*?)[ ]*$", re.MULTILINE)


def bbh(row: Row) -> Question:
    """Parse `input`, with options in its text or with a yes/no answer, and `target`."""
    text, mark, options = row.text("input").partition("Options:")
    target, task = row.text("target"), named(row, "task")
    listed = _OPTION.findall(options)
    closed = next((list(pair) for pair in _CLOSED if target in pair), [])
    choices = [option for _, option in listed] if mark else closed
    names = [f"({letter})" if letter else option for letter, option in listed] if mark else closed
    if not choices:
        raise DataError(
            f"{row.where}{f' ({task})' if task else ''} has no options",
            "options in the text, as '(A) ...' after 'Options:'",
            "read the tasks that have them, as in 'FILE#TASK,TASK'",
        )
    return make(row, text.strip(), choices, [position(target, names, row)], task)


FORMATS = (Format(name="bbh", level="logic", columns=columns("input target"), parser=by_row(bbh), part_column="task"),)
