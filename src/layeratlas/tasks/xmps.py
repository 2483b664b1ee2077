"""The same word problems in six languages; question and all choices in one language."""

from __future__ import annotations

from layeratlas.contracts import Task
from layeratlas.questions import Question, QuestionSet
from layeratlas.spec import Size
from layeratlas.tasks._choices import placed, places
from layeratlas.tasks._word_problems import Problem, drawn, templates

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
    truth went together; that mixed form is not made here.
    """

    summary = "which worked solution is right? the same problems in en, zh, es, fr, de and th"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `xmps-en` ... `xmps-th` (level cross-lingual), whose strata are the templates."""
        return [_in(language, size) for language in _INSTRUCTIONS]


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
