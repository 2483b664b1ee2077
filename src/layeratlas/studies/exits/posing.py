"""A question set as the model reads it: prompts and choices as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layeratlas.core.errors import CaptureError
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models.chat import Turn
from layeratlas.studies.exits.prompts import BARE, Prompt, choice_texts, make_prompt, make_turns
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation
    from layeratlas.models import LoadedModel


@dataclass(frozen=True, kw_only=True)
class PosedSet:
    """A question set as tokens: its prompts, and the choices of all questions after them (`after`) and after a prompt
    without a question (`bare`), one question after another.
    """

    data: QuestionSet
    prompts: list[Prompt]
    after: list[Continuation]
    bare: list[Continuation]


def pose(model: LoadedModel, data: QuestionSet, settings: ExitSettings) -> PosedSet:
    """Return a set's prompts and choices as tokens; raises CaptureError where one is longer than the context."""
    prompts = [_prompt(model, data, question, settings) for question in data.items]
    blind = blind_prompt(model)
    after: list[Continuation] = []
    bare: list[Continuation] = []
    for number, (question, prompt) in enumerate(zip(data.items, prompts, strict=True), 1):
        encoded = _encoded(model, prompt.text, prompt.choices)
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
        bare += _encoded(model, blind, prompt.choices)
    return PosedSet(data=data, prompts=prompts, after=after, bare=bare)


def blind_prompt(model: LoadedModel) -> str:
    """Return the prompt without a question: `A:` alone, in a chat as the user's turn."""
    return BARE if model.chat is None else model.chat.render([Turn(role="user", text=BARE)], answer=True)


def _prompt(model: LoadedModel, data: QuestionSet, question: Question, settings: ExitSettings) -> Prompt:
    if model.chat is None:
        return make_prompt(data, question, settings)
    rendered = model.chat.render(make_turns(data, question, settings), answer=True)
    return Prompt(text=rendered, choices=choice_texts(question, settings.format))


def _encoded(model: LoadedModel, prompt: str, choices: Sequence[str]) -> list[Continuation]:
    from layeratlas.capture import encode_answers, encode_choices

    return (encode_choices if model.chat is None else encode_answers)(model, prompt, choices)


def _place(data: QuestionSet, question: Question, number: int) -> str:
    return question.where or f"{data.source or data.name}, question {number}"
