"""Which choices of each question are true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from layeratlas.core.arrays import Bools, Floats
from layeratlas.data.questions import QuestionSet


@dataclass(frozen=True, kw_only=True)
class AnswerKey:
    """The answers of n questions with at most K choices.

    `exists` (n, K): whether a question has that choice; `true` (n, K): whether the choice is true; `first` (n,): the
    index of the first true choice.
    """

    exists: Bools
    true: Bools
    first: NDArray[np.int64]

    @classmethod
    def of(cls, data: QuestionSet) -> AnswerKey:
        """Return the key of a question set."""
        most = max(len(question.choices) for question in data.items)
        return cls(
            exists=np.array([[c < len(question.choices) for c in range(most)] for question in data.items]),
            true=np.array([[c in question.answers for c in range(most)] for question in data.items]),
            first=np.array([question.answers[0] for question in data.items]),
        )

    @property
    def false(self) -> Bools:
        """The false choices, (n, K)."""
        return self.exists & ~self.true

    @property
    def has_several(self) -> bool:
        """Whether any question has more than one true choice."""
        return bool((self.true.sum(1) > 1).any())

    def subset(self, inside: Bools) -> AnswerKey:
        """Return the key of the questions selected by the mask `inside` (n,)."""
        return AnswerKey(exists=self.exists[inside], true=self.true[inside], first=self.first[inside])

    def first_true_score(self, scores: Floats) -> Floats:
        """Return the score of each question's first true choice: (..., n, K) to (..., n)."""
        first = np.broadcast_to(self.first, scores.shape[:-1])[..., None]
        score: Floats = np.take_along_axis(scores, first, -1)[..., 0]
        return score

    def best_false_score(self, scores: Floats) -> Floats:
        """Return the best score of each question's false choices: (..., n, K) to (..., n)."""
        score: Floats = np.where(self.false, scores, -np.inf).max(-1)
        return score
