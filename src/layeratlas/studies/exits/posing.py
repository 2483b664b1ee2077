"""A question set as the model reads it: prompts and choices as tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from layeratlas.core.errors import CaptureError
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.studies.exits.prompts import BARE, Prompt, make_prompt
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation
    from layeratlas.models import LoadedModel


@dataclass(frozen=True, kw_only=True)
class PosedSet:
    """A question set as tokens: its prompts, and the choices of all questions after them (`after`) and after `A:`
    alone (`bare`), one question after another.
    """

    data: QuestionSet
    prompts: list[Prompt]
    after: list[Continuation]
    bare: list[Continuation]


def pose(model: LoadedModel, data: QuestionSet, settings: ExitSettings) -> PosedSet:
    """Return a set's prompts and choices as tokens; raises CaptureError where one is longer than the context."""
    from layeratlas.capture import encode_choices

    prompts = [make_prompt(data, question, settings) for question in data.items]
    after: list[Continuation] = []
    bare: list[Continuation] = []
    for number, (question, prompt) in enumerate(zip(data.items, prompts, strict=True), 1):
        encoded = encode_choices(model, prompt.text, prompt.choices)
        longest = max(len(continuation.ids) for continuation in encoded)
        if model.context and longest > model.context:
            shots = min(settings.shots, len(data.shots))
            raise CaptureError(
                f"{_place(data, question, number)} has {longest} tokens"
                + (f" with its {shots} worked examples" if shots else ""),
                f"at most {model.context}, the context of {model.info['name']}",
                f"use fewer with --set shots={shots // 2}, or drop it" if shots else "shorten or drop it",
            )
        after += encoded
        bare += encode_choices(model, BARE, prompt.choices)
    return PosedSet(data=data, prompts=prompts, after=after, bare=bare)


def _place(data: QuestionSet, question: Question, number: int) -> str:
    return question.where or f"{data.source or data.name}, question {number}"
