"""Word problems with worked solutions: one of four is right; the others slip in a calculation or take a wrong path."""

from __future__ import annotations

from functools import cache
from itertools import islice

from layeratlas.contracts import Task
from layeratlas.questions import Question, QuestionSet
from layeratlas.spec import Size
from layeratlas.tasks._choices import placed, places
from layeratlas.tasks._word_problems import Problem, problems, templates

_COUNT = {"quick": 12, "standard": 28, "full": 640}
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
    names = templates("en")
    each = -(-_COUNT[size] // len(names))
    items = []
    for number in range(_COUNT[size]):
        template = names[number % len(names)]
        group = f"{template}-{number // len(names):03d}"
        items.append(_question(_made(template, each + 1)[1 + number // len(names)], kind, next(standing), group))
    shots = [_question(_made(name, each + 1)[0], kind, 0, f"shot-{name}") for name in _SHOTS]
    return tuple(items), tuple(shots)


def _question(problem: Problem, kind: str, place: int, group: str) -> Question:
    wrong = problem.miscalculated if kind == "calculation" else problem.misled
    choices, answers = placed(problem.solved(problem.right, "en"), [problem.solved(w, "en") for w in wrong], place)
    return Question(problem.question("en"), choices, answers, group, problem.template)


@cache
def _made(template: str, count: int) -> tuple[Problem, ...]:
    """Return so many problems of a template."""
    return tuple(islice(problems(template, "word-problems"), count))


PLUGIN = WordProblems()
