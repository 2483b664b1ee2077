"""The same word problems in six languages; question and all choices in one language."""

from __future__ import annotations

from dataclasses import replace

from layeratlas.core.spec import Size
from layeratlas.data.choices import MIXED, TRANSLATED, positions
from layeratlas.data.questions import QuestionSet
from layeratlas.data.task import Task
from layeratlas.data.tasks._word_problems import draw, posed, templates

_COUNT = {"quick": 4, "standard": 12, "full": 320}
# The first problem of each of these templates is a worked example; items begin with the second.
_SHOTS = ("eggs", "shopping", "sweets", "train", "apples", "trees")
_INSTRUCTIONS = {
    "en": "Solve the problem step by step.",
    "zh": "请一步一步地解答下面的问题。",
    "es": "Resuelve el problema paso a paso.",
    "fr": "Résous le problème étape par étape.",
    "de": "Löse die Aufgabe Schritt für Schritt.",
    "th": "จงแก้โจทย์ปัญหาทีละขั้นตอน",
}


class CrossLingual(Task):
    """Word problems in English, Chinese, Spanish, French, German and Thai, one set per language.

    Each wrong solution has one wrong result, near the right one, and continues with it: the choices of a question
    differ only in digits. A question has the same numbers, names, choices and position of the truth in all languages,
    and one group. Chen et al. (arXiv 2312.04333) left question and wrong solutions in English, so that language,
    length and truth are confounded; the task `xmps_paper` has that form.
    """

    summary = "which worked solution is right? the same problems in en, zh, es, fr, de and th"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `xmps-en` ... `xmps-th` (level cross-lingual), whose strata are the templates."""
        return [_in(language, size) for language in _INSTRUCTIONS]


class Mixed(Task):
    """The same problems in the form that was published: only the true solution is translated.

    Question, wrong solutions and worked examples remain in English, so the language or length of a choice reveals the
    true one. The sets are for replication, in the published languages; they are `confounded`, that is, plotted but
    excluded from the tests.
    """

    summary = "xmps as published: only the true solution is translated (es, fr, zh, th), so its language gives it away"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `xmps-paper-es`, `-fr`, `-zh` and `-th` (level cross-lingual, mixed)."""
        return [_mixed(language, size) for language in ("es", "fr", "zh", "th")]


def _mixed(language: str, size: Size) -> QuestionSet:
    """Return English questions and wrong solutions, with the true solutions of `language`."""
    english, translated = _in("en", size), _in(language, size)
    items = []
    for question, other in zip(english.items, translated.items, strict=True):
        choices = [c if i not in question.answers else other.truth for i, c in enumerate(question.choices)]
        items.append(replace(question, choices=tuple(choices)))
    name = f"xmps-paper-{language}"
    return replace(english, name=name, level=MIXED, items=tuple(items), language=language, confounded=TRANSLATED)


def _in(language: str, size: Size) -> QuestionSet:
    position = positions(4, "xmps")
    problems, examples = draw(templates("th"), "xmps", _COUNT[size], _SHOTS)
    return QuestionSet(
        name=f"xmps-{language}",
        level="cross-lingual",
        items=tuple(
            posed(problem, problem.miscalculated, language, next(position), group) for group, problem in problems
        ),
        shots=tuple(
            posed(problem, problem.miscalculated, language, 0, f"shot-{problem.template}") for problem in examples
        ),
        instruction=_INSTRUCTIONS[language],
        language=language,
        evident=True,
    )


PLUGIN = CrossLingual()
