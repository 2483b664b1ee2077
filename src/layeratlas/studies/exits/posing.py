"""A question set as the model reads it: prompts and choices as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from layeratlas.data.bad_rows import Dropped
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models.chat import Turn
from layeratlas.runs.fitting import begin_fitting, leave_out_unfit
from layeratlas.runs.workspace import Workspace
from layeratlas.studies.exits.prompts import (
    BARE,
    Prompt,
    chain_prompt,
    chain_turns,
    choice_texts,
    make_prompt,
    make_turns,
)
from layeratlas.studies.exits.settings import ExitSettings

if TYPE_CHECKING:
    from layeratlas.capture import Continuation
    from layeratlas.models import LoadedModel


@dataclass(frozen=True, kw_only=True)
class PosedSet:
    """A question set as tokens: its prompts, and all choices in question order.

    `after` are the choices after their prompts, `bare` the choices after a prompt without a question. Every prompt has
    `shots` worked examples. `decoded` are the prompts that answers are decoded after, and `blind` that without a
    question; empty if none are decoded. `lengths` are the tokens per question, including its longest choice or answer.
    """

    data: QuestionSet
    prompts: list[Prompt]
    after: list[Continuation]
    bare: list[Continuation]
    decoded: list[str]
    blind: str
    shots: int
    lengths: list[int]


def pose(model: LoadedModel, data: QuestionSet, settings: ExitSettings) -> PosedSet:
    """Return a set's prompts and choices as tokens, without checking that they fit the context."""
    prompts = [_prompt(model, data, question, settings) for question in data.items]
    decoded = _decoded_prompts(model, data, prompts, settings)
    blind = blind_prompt(model)
    after: list[Continuation] = []
    bare: list[Continuation] = []
    lengths: list[int] = []
    for number, prompt in enumerate(prompts):
        encoded = _encoded(model, prompt, prompt.text)
        answer = len(model.encode_prompt(decoded[number])) + settings.answer_tokens if decoded else 0
        lengths.append(max(answer, *(len(continuation.ids) for continuation in encoded)))
        after += encoded
        # A lead that follows the blind prompt is a choice as it follows there.
        bare += _encoded(model, prompt, f"{blind} " if prompt.leads else blind)
    shots = data.written.shots if data.written is not None else min(settings.shots, len(data.shots))
    return PosedSet(
        data=data,
        prompts=prompts,
        after=after,
        bare=bare,
        decoded=decoded,
        blind=_chain_prompt(model, data, None, settings) if settings.format == "chain" else blind,
        shots=shots,
        lengths=lengths,
    )


def blind_prompt(model: LoadedModel) -> str:
    """Return the prompt without a question: `A:` alone (the user's turn in a chat)."""
    return BARE if model.chat is None else model.chat.render([Turn(role="user", text=BARE)], answer=True)


def _prompt(model: LoadedModel, data: QuestionSet, question: Question, settings: ExitSettings) -> Prompt:
    if model.chat is None:
        return make_prompt(data, question, settings)
    rendered = model.chat.render(make_turns(data, question, settings), answer=True)
    return Prompt(text=rendered, choices=choice_texts(question, settings.format))


def _decoded_prompts(
    model: LoadedModel, data: QuestionSet, prompts: Sequence[Prompt], settings: ExitSettings
) -> list[str]:
    """Return the prompts that answers are decoded after; empty if the format has none."""
    if settings.format == "chain":
        return [_chain_prompt(model, data, question, settings) for question in data.items]
    return [prompt.text for prompt in prompts] if settings.format == "free" else []


def _chain_prompt(model: LoadedModel, data: QuestionSet, question: Question | None, settings: ExitSettings) -> str:
    if model.chat is None:
        return chain_prompt(data, question, settings)
    return model.chat.render(chain_turns(data, question, settings), answer=True)


def _encoded(model: LoadedModel, prompt: Prompt, text: str) -> list[Continuation]:
    """Return the choices of a prompt as tokens, after its own text or a blind one."""
    from layeratlas.capture import encode_answers, encode_choices

    encode = encode_choices if model.chat is None else encode_answers
    if not prompt.leads:
        return encode(model, text, prompt.choices)
    return [encoded for read, choice in prompt.scored(text) for encoded in encode(model, read, [choice])]


def pose_fitting(work: Workspace) -> list[PosedSet]:
    """Return the run's question sets as tokens, each with as many worked examples as fit the context.

    All sets of a level get the same number of worked examples, because languages are compared within a level. A note
    names sets with fewer than requested. Questions that do not fit even without worked examples are left out or
    refused: see `leave_out_unfit`.
    """
    settings: ExitSettings = work.settings
    model = work.model
    begin_fitting(work)
    posed = [pose(model, data, settings) for data in work.material]
    context = model.context
    if not context or all(max(each.lengths) <= context for each in posed):
        return posed
    _leave_out_long(work, context)
    levels: dict[str, list[QuestionSet]] = {}
    for data in work.material:
        levels.setdefault(data.level, []).append(data)
    fitting = {each.data.name: each for sets in levels.values() for each in _pose_level(work, sets, context)}
    return [fitting[data.name] for data in work.material]


def _leave_out_long(work: Workspace, context: int) -> None:
    """Leave out, or refuse, the questions that exceed the context even without worked examples."""
    settings = work.settings.with_shots(0)
    unfit: dict[str, dict[int, Dropped]] = {}
    for data in work.material:
        lengths = pose(work.model, data, settings).lengths
        unfit[data.name] = {
            number: Dropped(where=_place(data, number), why=f"has {length} tokens")
            for number, length in enumerate(lengths)
            if length > context
        }
    leave_out_unfit(work, unfit, f"at most {context}, the context of {work.model.info['name']}")


def _pose_level(work: Workspace, sets: Sequence[QuestionSet], context: int) -> list[PosedSet]:
    """Return the sets of one level with the largest number of worked examples that fits all of them."""
    settings: ExitSettings = work.settings
    for shots in range(settings.shots, -1, -1):
        posed = [pose(work.model, data, settings.with_shots(shots)) for data in sets]
        if all(max(each.lengths) <= context for each in posed):
            break
    for each in posed:
        wanted = min(settings.shots, len(each.data.shots))
        if each.shots < wanted:
            work.progress.note(
                f"{each.data.name} is asked with {each.shots} of {wanted} worked examples: the context of "
                f"{work.model.info['name']} is {context} tokens"
            )
    return posed


def _place(data: QuestionSet, number: int) -> str:
    """Return the name of a question in messages; `number` is 0-based."""
    return data.items[number].where or f"{data.source or data.name}, question {number + 1}"
