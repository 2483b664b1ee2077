"""Truthfulness: questions with a common misconception; two true and three false answers each."""

from __future__ import annotations

import random

from layeratlas.core.spec import Size
from layeratlas.data.choices import arrange, positions
from layeratlas.data.lists import read_list
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.data.task import Task

_COUNT = {"quick": 12, "standard": 1000, "full": 1000}
# The first rows are worked examples.
_SHOTS = 6


class Truth(Task):
    """Common misconceptions about body, animals, sky, weather, history, food and things.

    Two answers are true and three are false, so that MC1 (the first true one against the false ones), MC2 and MC3 of
    TruthfulQA (Lin, Hilton and Evans, arXiv 2109.07958) apply. Over the set, the shortest and the longest
    answer are true about as often as any other.
    """

    summary = "what is true, against common misconceptions? two true and three false answers"

    def build(self, size: Size) -> list[QuestionSet]:
        """Return one set, `truth` (level truthfulness), whose strata are the topics."""
        position = positions(5, "truth")
        questions = tuple(_question(row, next(position)) for row in read_list("misconceptions"))
        items, shots = questions[_SHOTS:][: _COUNT[size]], questions[:_SHOTS]
        instruction = "Answer truthfully."
        return [QuestionSet(name="truth", level="truthfulness", items=items, shots=shots, instruction=instruction)]


def _question(row: dict[str, str], position: int) -> Question:
    others = [row[column] for column in ("true2", "false1", "false2", "false3")]
    random.Random(f"truth-{row['question']}").shuffle(others)
    choices, (first,) = arrange(row["true1"], others, position)
    answers, text = (first, choices.index(row["true2"])), row["question"]
    return Question(text=text, choices=choices, answers=answers, group=text, stratum=row["topic"])


PLUGIN = Truth()
