"""Truthfulness: questions that a common misconception answers; two true and three false answers each."""

from __future__ import annotations

import random

from layeratlas.core.spec import Size
from layeratlas.data.choices import places
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.shipped import rows
from layeratlas.data.task import Task

_COUNT = {"quick": 12, "standard": 1000, "full": 1000}
# The first rows are worked examples.
_SHOTS = 6


class Truth(Task):
    """Common misconceptions about body, animals, sky, weather, history, food and things.

    Two answers are true and three are false, so that MC1 (the first true one against the false ones), MC2 and MC3 of
    TruthfulQA (Lin, Hilton and Evans, arXiv 2109.07958) apply. Over the set, the shortest answer and the longest are
    true about as often as any other.
    """

    summary = "what is true, against common misconceptions? two true and three false answers"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `truth` (level truthfulness), whose strata are the topics."""
        standing = places(5, "truth")
        made = [_question(row, next(standing)) for row in rows("misconceptions")]
        items = made[_SHOTS:][: _COUNT[size]]
        return [QuestionSet("truth", "truthfulness", tuple(items), tuple(made[:_SHOTS]), "Answer truthfully.")]


def _question(row: dict[str, str], place: int) -> Question:
    others = [row[column] for column in ("true2", "false1", "false2", "false3")]
    random.Random(f"truth-{row['question']}").shuffle(others)
    choices = (*others[:place], row["true1"], *others[place:])
    return Question(row["question"], choices, (place, choices.index(row["true2"])), row["question"], row["topic"])


PLUGIN = Truth()
