"""Word problems with worked solutions: one of four is right; the others have a wrong result or a wrong operation."""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.choices import positions
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task
from layeratlas.data.tasks._word_problems import Problem, draw, posed, templates

_COUNT = {"quick": 12, "standard": 20, "full": 640}
# The first problem of each of these templates is a worked example; items begin with the second.
_SHOTS = ("eggs", "shopping", "garden", "train", "posters", "barrel")


class WordProblems(Task):
    """Word problems in two or three steps, whose choices are worked solutions of equal length.

    `wrong-calculation`: each wrong solution has one wrong result, close to the right one, and continues with it
    (modelled on MPS-Cal of Chen et al., arXiv 2312.04333, in which the error is nearly always in the last step).
    `wrong-reasoning`: each wrong solution has another operation in at least one step, and all its calculations are
    right (modelled on MPS-Rea). Both sets have the same problems, with the same groups.
    """

    summary = "which worked solution is right? wrong results, or wrong operations with right results"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `wrong-calculation` (level calculation) and `wrong-reasoning` (level reasoning), by template."""
        return [_question_set(size, "calculation"), _question_set(size, "reasoning")]


def _question_set(size: Size, kind: str) -> QuestionSet:
    position = positions(4, f"word-problems-{kind}")
    problems, examples = draw(templates("en"), "word-problems", _COUNT[size], _SHOTS)
    return QuestionSet(
        name=f"wrong-{kind}",
        level=kind,
        items=tuple(_question(problem, kind, next(position), group) for group, problem in problems),
        shots=tuple(_question(problem, kind, 0, f"shot-{problem.template}") for problem in examples),
        instruction="Solve the problem step by step.",
        evident=kind == "calculation",
    )


def _question(problem: Problem, kind: str, position: int, group: str) -> Question:
    wrong = problem.miscalculated if kind == "calculation" else problem.misled
    return posed(problem, wrong, "en", position, group)


PLUGIN = WordProblems()
