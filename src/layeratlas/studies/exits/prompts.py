"""Questions to prompts: worked examples, the question, and each choice as a continuation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from layeratlas.core.errors import SpecError
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.models.chat import Turn
from layeratlas.studies.exits.chains import how_to_end, reasoned
from layeratlas.studies.exits.settings import ExitSettings, Format

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The prompt of a choice that is scored without its question.
BARE = "A:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question as text: the prompt, and its choices as continuations in their order.

    `leads`, if given, are read after the prompt, one before each continuation, and are not scored.
    """

    text: str
    choices: tuple[str, ...]
    leads: tuple[str, ...] = ()

    def scored(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield what is read and what is scored after it, for each choice after `text`, the prompt or a blind one."""
        leads = self.leads or ("",) * len(self.choices)
        return ((text + lead, choice) for lead, choice in zip(leads, self.choices, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What stands before a question: the instruction (or none), and worked examples as question and reply."""

    instruction: str
    examples: list[tuple[str, str]]


def make_prompt(data: QuestionSet, question: Question, settings: ExitSettings) -> Prompt:
    """Return the prompt of a question: the set's instruction, its first worked examples, the question.

    Formats: `text`, `free` and `chain` are `Q: ...`, then `A:`, and a choice is a space and its text; `letter` lists
    the choices by letter, and a choice is a space and its letter; in `cloze` the question begins a statement that the
    choice ends. Prompts that another tool wrote stay as they are.
    """
    if data.written is not None:
        return _written(data.written.delimiter, question)
    asked = question_text(question, settings.format)
    return Prompt(text=_text(_shown(data, settings), asked), choices=choice_texts(question, settings.format))


def _written(delimiter: str, question: Question) -> Prompt:
    if not question.ending:
        return Prompt(text=question.text, choices=tuple(f"{delimiter}{choice}" for choice in question.choices))
    endings = (f"{delimiter}{question.ending}",) * len(question.choices)
    return Prompt(text=question.text, choices=endings, leads=question.choices)


def make_turns(data: QuestionSet, question: Question, settings: ExitSettings) -> list[Turn]:
    """Return a question as chat turns: a question and an answer per worked example, then the question.

    The set's instruction begins the first turn. Raises SpecError for the format `cloze`, whose questions are
    statements to complete.
    """
    if settings.format == "cloze":
        raise SpecError("the format cloze in a chat", "text, letter, free or chain", "use --set format=text")
    return _turns(_shown(data, settings), question_text(question, settings.format))


def chain_prompt(data: QuestionSet, question: Question | None, settings: ExitSettings) -> str:
    """Return the prompt that a chain continues: the worked examples show one each. None leaves the question out."""
    return _text(_shown_with_chains(data, settings), _asked_or_bare(question))


def chain_turns(data: QuestionSet, question: Question | None, settings: ExitSettings) -> list[Turn]:
    """Return the prompt that a chain continues as chat turns. None leaves the question out."""
    return _turns(_shown_with_chains(data, settings), _asked_or_bare(question))


def _asked_or_bare(question: Question | None) -> str:
    return BARE if question is None else question_text(question, "chain")


def _shown(data: QuestionSet, settings: ExitSettings) -> _Shown:
    shots, form = data.shots[: settings.shots], settings.format
    examples = [(question_text(shot, form), choice_texts(shot, form)[shot.answers[0]]) for shot in shots]
    return _Shown(instruction=data.instruction, examples=examples)


def _shown_with_chains(data: QuestionSet, settings: ExitSettings) -> _Shown:
    shots = data.shots[: settings.shots]
    examples = [(question_text(shot, "chain"), f" {reasoned(shot, data.language)}") for shot in shots]
    # Without an example nothing shows how to end.
    told = [] if examples else [how_to_end(data.language)]
    return _Shown(instruction=" ".join(filter(None, [data.instruction, *told])), examples=examples)


def _text(shown: _Shown, asked: str) -> str:
    sections = [shown.instruction, *(question + reply for question, reply in shown.examples), asked]
    return "\n\n".join(section for section in sections if section)


def _turns(shown: _Shown, asked: str) -> list[Turn]:
    turns: list[Turn] = []
    for question, reply in shown.examples:
        turns += [Turn(role="user", text=_spoken(question)), Turn(role="assistant", text=reply.strip())]
    turns.append(Turn(role="user", text=_spoken(asked)))
    if shown.instruction:
        turns[0] = Turn(role="user", text=f"{shown.instruction}\n\n{turns[0].text}")
    return turns


def _spoken(asked: str) -> str:
    """Return a question as a user's turn: without the `Q:` and `A:` that mark the turns of a plain prompt."""
    return asked.removeprefix("Q: ").removesuffix(f"\n{BARE}")


def counted_choices(data: QuestionSet, question: Question, prompt: Prompt) -> list[str]:
    """Return what is scored, as its size is counted: without what separates it from the prompt."""
    if question.ending:
        return [question.ending] * len(question.choices)
    return list(question.choices) if data.written is not None else [choice.strip() for choice in prompt.choices]


def question_text(question: Question, form: Format) -> str:
    """Return a question as it is written in a prompt."""
    if form == "cloze":
        return question.text.rstrip()
    if form != "letter":
        return f"Q: {question.text}\n{BARE}"
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False))
    return f"Q: {question.text}\n{listed}\n{BARE}"


def choice_texts(question: Question, form: Format) -> tuple[str, ...]:
    """Return the continuations that are scored after the question, one per choice."""
    words: Sequence[str] = LETTERS[: len(question.choices)] if form == "letter" else question.choices
    return tuple(f" {word}" for word in words)
