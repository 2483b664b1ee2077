"""Questions to prompts: worked examples, the question, and each choice as a continuation of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from layeratlas.core.spec import Spec
from layeratlas.data.questions import Question, QuestionSet

Format = Literal["text", "letter", "cloze", "free"]
Score = Literal["sum", "per_character", "per_byte", "per_token", "minus_answer"]
SCORES: tuple[Score, ...] = ("sum", "per_character", "per_byte", "per_token", "minus_answer")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# What stands before a choice that is scored without its question.
BARE = "A:"


class ExitSettings(Spec):
    """How questions are asked and exits read out.

    `exit_norm="final"` reads every point through the model's own final norm and unembedding; `none` skips the norm
    everywhere but at the last point, as the published numbers do. `strict` counts a tied best score as wrong, where
    the default gives each of k tied choices 1/k. `score` is the one that findings use; all are in the tables. `free`
    reads at most `free_tokens` tokens at `free_exits` exits, evenly spaced and the last one among them. `ablate` asks
    the first `ablate_questions` questions of each set again without each block and sublayer, after at most
    `ablate_shots` worked examples; what attention or MLP adds is set to `ablate_to`.
    """

    shots: int = Field(default=4, ge=0, le=6, description="0 to 6 worked examples")
    format: Format = Field(default="text", description="text, letter, cloze or free")
    exit_norm: Literal["final", "none"] = Field(default="final", description="final or none")
    strict: bool = Field(default=False, description="true or false")
    score: Score = Field(default="sum", description=f"one of {', '.join(SCORES)}")
    free_tokens: int = Field(default=8, ge=1, description="1 token or more")
    free_exits: int = Field(default=6, ge=1, description="1 exit or more")
    ablate: bool = Field(default=False, description="true or false")
    ablate_questions: int = Field(default=52, ge=1, description="1 question or more")
    ablate_shots: int = Field(default=2, ge=0, le=6, description="0 to 6 worked examples")
    ablate_to: Literal["mean", "zero", "both"] = Field(default="mean", description="mean, zero or both")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as the model sees it: a prompt, and the continuations that are its choices, in their order."""

    prompt: str
    choices: tuple[str, ...]


def ask(data: QuestionSet, question: Question, settings: ExitSettings) -> Asked:
    """Return the prompt of a question after the set's first worked examples.

    `text`: `Q: ...`, then `A:`, and a choice is one space and its text. `letter`: the choices are listed, and a choice
    is a letter. `cloze`: the question is the beginning of a statement, which the choice completes. `free`: as `text`.
    """
    shots = [f"{_posed(s, settings)}{_said(s, settings)[s.answers[0]]}" for s in data.shots[: settings.shots]]
    parts = [data.instruction, *shots, _posed(question, settings)]
    return Asked("\n\n".join(part for part in parts if part), _said(question, settings))


def _posed(question: Question, settings: ExitSettings) -> str:
    if settings.format == "cloze":
        return question.text.rstrip()
    if settings.format != "letter":
        return f"Q: {question.text}\n{BARE}"
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, question.choices, strict=False))
    return f"Q: {question.text}\n{listed}\n{BARE}"


def _said(question: Question, settings: ExitSettings) -> tuple[str, ...]:
    said: Sequence[str] = question.choices
    if settings.format == "letter":
        said = LETTERS[: len(question.choices)]
    return tuple(f" {one}" for one in said)
