"""Sample logs of lm-evaluation-harness: the scored contexts and continuations are asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from layeratlas.core.errors import DataError
from layeratlas.data.questions import Question
from layeratlas.data.readers.formats.format import Format, by_row, columns, make, named
from layeratlas.data.readers.row import Row, brief


def sample(row: Row) -> Question:
    """Parse `arguments` (context and continuation of each choice) and `target`, the index or text of the true choice.

    If the contexts differ and the continuation is the same (WinoGrande), the question is the common beginning of the
    contexts, and a choice is the rest of its context followed by the continuation.
    """
    requests = _requests(row)
    text = requests[0][0]
    if len({context for context, _ in requests}) > 1:
        text = common_start([context for context, _ in requests])
    choices = [(context + continuation)[len(text) :].strip() for context, continuation in requests]
    return make(row, text.strip(), choices, [_target(row, choices)], group=f"doc {named(row, 'doc_id') or text}")


def common_start(contexts: Sequence[str]) -> str:
    """Return the common beginning of all contexts, up to the end of a word."""
    first, last = min(contexts), max(contexts)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: max(first.rfind(space, 0, length) for space in " \n") + 1] or first[:length]


def _requests(row: Row) -> list[tuple[str, str]]:
    """Return contexts and continuations, from lists of two or from `gen_args_0: {arg_0, arg_1}`."""
    value: Any = row.fields["arguments"]
    if isinstance(value, dict):
        value = [
            [request.get("arg_0"), request.get("arg_1")] if isinstance(request, dict) else request
            for request in value.values()
        ]
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) >= 2 for pair in value):
        raise DataError(f"{row.where}: 'arguments' is {brief(value)}", "pairs of context and continuation", "fix it")
    if len(value) < 2:
        problem = f"{row.where} has {len(value)} scored continuation"
        raise DataError(problem, "two or more, as multiple-choice tasks log them", "log a multiple-choice task")
    pairs = [Row({"context": pair[0], "continuation": pair[1]}, row.where) for pair in value]
    for pair in pairs:
        pair.text("context"), pair.text("continuation")
    return [(pair.fields["context"], pair.fields["continuation"]) for pair in pairs]


def _target(row: Row, choices: list[str]) -> int:
    target = row.fields["target"]
    if isinstance(target, str) and target.strip() in choices:
        return choices.index(target.strip())
    return row.number("target")


FORMATS = (Format(name="lm_eval", level="", columns=columns("doc arguments target"), parser=by_row(sample)),)
