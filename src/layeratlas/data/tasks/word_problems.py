"""Word problems with worked solutions: one of four is right; the others slip in a calculation or take a wrong path."""

from __future__ import annotations

from layeratlas.core.spec import Size
from layeratlas.data.choices import placed, places
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task
from layeratlas.data.tasks._word_problems import Problem, drawn, templates

_COUNT = {"quick": 12, "standard": 20, "full": 640}
# The first problem of each of these templates is a worked example; items begin with the second.
_SHOTS = ("eggs", "shopping", "garden", "train", "posters", "barrel")


class WordProblems(Task):
    """Word problems in two or three steps, whose choices are worked solutions of equal length.

    `wrong-calculation`: the wrong solutions have one wrong result, near the right one, and go on with it (after
    MPS-Cal of Chen et al., arXiv 2312.04333; there the slip is nearly always in the last step). `wrong-reasoning`: the
    wrong solutions use another operation in one step or more, and all that they calculate is right (after MPS-Rea).
    Both ask the same problems, which share their groups.
    """

    summary = "which worked solution is right? slips in a calculation, wrong paths with right calculations"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return `wrong-calculation` (level calculation) and `wrong-reasoning` (level reasoning), by template."""
        made = [_of(size, kind) for kind in ("calculation", "reasoning")]
        return [
            QuestionSet(
                f"wrong-{kind}", kind, items, shots, "Solve the problem step by step.", evident=kind == "calculation"
            )
            for kind, (items, shots) in zip(("calculation", "reasoning"), made, strict=True)
        ]


def _of(size: Size, kind: str) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
    standing = places(4, f"word-problems-{kind}")
    asked, shown = drawn(templates("en"), "word-problems", _COUNT[size], _SHOTS)
    items = [_question(problem, kind, next(standing), group) for group, problem in asked]
    shots = [_question(problem, kind, 0, f"shot-{problem.template}") for problem in shown]
    return tuple(items), tuple(shots)


def _question(problem: Problem, kind: str, place: int, group: str) -> Question:
    wrong = problem.miscalculated if kind == "calculation" else problem.misled
    choices, answers = placed(problem.solved(problem.right, "en"), [problem.solved(w, "en") for w in wrong], place)
    return Question(problem.question("en"), choices, answers, group, problem.template)


PLUGIN = WordProblems()
