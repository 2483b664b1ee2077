"""Chains of reasoning: how worked examples show one, and how the answer at its end is read from a decoded text.

Wording and reading are those of prompts with a chain of thought (Wei et al. 2022, arXiv 2201.11903): the answer is what
follows the first "The answer is".
"""

from __future__ import annotations

import re
from decimal import Decimal

from layeratlas.core.errors import SpecError
from layeratlas.data.questions import Question, QuestionSet

# How a chain ends, by language; other languages end it in English.
_ENDINGS = {
    "en": "The answer is {}.",
    "de": "Die Antwort ist {}.",
    "es": "La respuesta es {}.",
    "fr": "La réponse est {}.",
    "th": "คำตอบคือ {}",
    "zh": "答案是{}。",
}
# The beginning of the next question, which a model may write after its answer.
_NEXT = "\nQ:"
# What may stand before an answer and after it, as in "The answer is: **30**."
_BEFORE, _BEHIND = " \t:*“\"'$€£", " \t*”\"'.。"
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
# Languages that write 1.200,50.
_COMMA_LANGUAGES = frozenset({"de", "es", "fr"})
_COMMA_NUMBER, _DOTTED = re.compile(r"-?\d(?:[\d.,]*\d)?"), re.compile(r"-?\d{1,3}(\.\d{3})+")


def reasoned(question: Question, language: str) -> str:
    """Return the reply of a worked example: its chain, then its answer after the marker of the language."""
    chain, answer = question.worked
    ending = _ENDINGS.get(language, _ENDINGS["en"]).format(answer.rstrip(" ."))
    return chain + ("" if language == "zh" else " ") + ending


def how_to_end(language: str) -> str:
    """Return the sentence that asks for the marker, where no worked example shows it."""
    return f'End with "{_marker(language)} ...".'


def is_complete(text: str, language: str) -> bool:
    """Return whether a decoded text needs no more tokens: a line ends after the marker, or another question begins."""
    after = _after(text, language)
    return _NEXT in text or (after is not None and "\n" in after.lstrip())


def final_answer(text: str, language: str) -> str:
    """Return what follows the first marker, up to the end of the line; empty if the text has no marker.

    Nothing is read of a next question that the model wrote itself.
    """
    after = _after(text.split(_NEXT, maxsplit=1)[0], language)
    return "" if after is None else after.strip().split("\n")[0].lstrip(_BEFORE).rstrip(_BEHIND)


def is_number_of(answer: str, question: Question, language: str) -> bool:
    """Return whether the first number of an answer, as the language writes it, is a question's `final`.

    Marks of thousands and words after the number do not matter.
    """
    comma = language in _COMMA_LANGUAGES
    number = (_COMMA_NUMBER if comma else _NUMBER).search(answer)
    return number is not None and _value(_in_english(number[0]) if comma else number[0]) == _value(question.final)


def check_chains(data: QuestionSet, shots: int) -> None:
    """Raise SpecError if a worked example that a prompt would show has no chain."""
    if any(not question.worked[0] for question in data.shots[:shots]):
        raise SpecError(
            f"format=chain with {data.source or data.name}, whose worked examples have no chain",
            "worked solutions, or a field chain in every worked example",
            "use --task word_problems or xmps, --set shots=0, or --set format=free",
        )


def _in_english(number: str) -> str:
    """Return a number such as 1.200,50 as 1200.50; 12.5 stays, and so does 1,200,000."""
    whole, comma, part = number.rpartition(",")
    if comma and "," not in whole:
        return f"{whole.replace('.', '')}.{part}"
    return number.replace(".", "") if _DOTTED.fullmatch(number) else number


def _value(number: str) -> Decimal:
    return Decimal(number.replace(",", ""))


def _after(text: str, language: str) -> str | None:
    parts = re.split(re.escape(_marker(language)), text, maxsplit=1, flags=re.IGNORECASE)
    return parts[1] if len(parts) > 1 else None


def _marker(language: str) -> str:
    return _ENDINGS.get(language, _ENDINGS["en"]).split("{}")[0].rstrip()
