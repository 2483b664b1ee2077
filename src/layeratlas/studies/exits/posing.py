"""A question set as the model sees it: prompts and choices as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layeratlas.core.errors import CaptureError
from layeratlas.data.questions import QuestionSet
from layeratlas.studies.exits.prompts import BARE, Asked, ExitSettings, ask

if TYPE_CHECKING:
    from layeratlas.capture import Continuation
    from layeratlas.models import LoadedModel


@dataclass(frozen=True)
class Posed:
    """A question set as the model sees it: for each choice of each question, after its prompt and without it."""

    data: QuestionSet
    asked: list[Asked]
    after: list[Continuation]
    bare: list[Continuation]


def pose(model: LoadedModel, data: QuestionSet, settings: ExitSettings) -> Posed:
    """Return a set's prompts and choices as tokens; raises CaptureError where one is longer than the context."""
    from layeratlas.capture import encode_choices

    asked = [ask(data, question, settings) for question in data.items]
    after: list[Continuation] = []
    bare: list[Continuation] = []
    for number, (question, one) in enumerate(zip(data.items, asked, strict=True), 1):
        new = encode_choices(model, one.prompt, one.choices)
        longest = max(len(c.ids) for c in new)
        if model.context and longest > model.context:
            raise CaptureError(
                f"{question.where or f'{data.source or data.name}, question {number}'} has {longest} tokens with its "
                f"{min(settings.shots, len(data.shots))} worked examples",
                f"at most {model.context}, the context of {model.info['name']}",
                "use fewer with --set shots=1, or drop it",
            )
        after += new
        bare += encode_choices(model, BARE, one.choices)
    return Posed(data, asked, after, bare)
