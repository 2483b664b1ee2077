"""The same word problems in six languages; question and all choices in one language."""

from __future__ import annotations

from dataclasses import replace

from layeratlas.core.spec import Size
from layeratlas.data.choices import MIXED, TRANSLATED, placed, places
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task
from layeratlas.data.tasks._word_problems import Problem, drawn, templates

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
    """Word problems in English, Chinese, Spanish, French, German and Thai, one set a language.

    The wrong solutions have one wrong result, near the right one, and go on with it: choices of a question differ in
    digits alone. A question has the same numbers, persons, choices and place of the truth in all languages, and one
    group. Chen et al. (arXiv 2312.04333) left question and wrong solutions in English, so that language, length and
    truth went together; the task `xmps_paper` is that mixed form.
    """

    summary = "which worked solution is right? the same problems in en, zh, es, fr, de and th"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `xmps-en` ... `xmps-th` (level cross-lingual), whose strata are the templates."""
        return [_in(language, size) for language in _INSTRUCTIONS]


class Mixed(Task):
    """The same problems in the form that was published: only the true solution is translated.

    Question, wrong solutions and worked examples stay English, so that a model that knows nothing but the language of
    a choice, or its length, can tell the true one. For replication, in the languages that were published: the sets are
    `confounded`, and no finding is made of them.
    """

    summary = "xmps as published: only the true solution is translated (es, fr, zh, th), so that its language tells it"

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
    standing = places(4, "xmps")
    asked, shown = drawn(templates("th"), "xmps", _COUNT[size], _SHOTS)
    items = [_question(problem, language, next(standing), group) for group, problem in asked]
    shots = tuple(_question(problem, language, 0, f"shot-{problem.template}") for problem in shown)
    return QuestionSet(
        f"xmps-{language}", "cross-lingual", tuple(items), shots, _INSTRUCTIONS[language], language, evident=True
    )


def _question(problem: Problem, language: str, place: int, group: str) -> Question:
    wrong = [problem.solved(solution, language) for solution in problem.miscalculated]
    choices, answers = placed(problem.solved(problem.right, language), wrong, place)
    return Question(problem.question(language), choices, answers, group, problem.template)


PLUGIN = CrossLingual()
