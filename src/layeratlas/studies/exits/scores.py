"""A question set with the log-likelihoods of its choices, and the scores made from them or from surface features."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import QuestionSet
from layeratlas.studies.exits.answer_key import AnswerKey
from layeratlas.studies.exits.names import MINUS_ANSWER


class Rule(StrEnum):
    """Rules for choosing an answer without a model."""

    FEWEST_TOKENS = "fewest tokens"
    FEWEST_BYTES = "fewest bytes"
    MOST_FREQUENT_ANSWER = "most frequent answer"
    MOST_BYTES = "most bytes"


# The best of these is the baseline of every curve.
BASELINE_RULES = (Rule.FEWEST_TOKENS, Rule.FEWEST_BYTES, Rule.MOST_FREQUENT_ANSWER)


@dataclass(frozen=True, kw_only=True)
class ScoredSet:
    """A question set with the log-likelihoods of its C choices, in question order.

    `after`, `bare`: (C, P), float64, log-likelihood in nats at every exit, after the question and after `A:` alone.
    `tokens`, `characters`, `bytes`: (C,), sizes of the choices. `read`: the exits that were read out; empty for all.
    """

    data: QuestionSet
    after: Floats
    bare: Floats
    tokens: Floats
    characters: Floats
    bytes: Floats
    read: tuple[int, ...] = ()

    @property
    def place_of_exit_1(self) -> int | None:
        """The column of exit 1; None if it was not read out."""
        exits = self.read or range(self.after.shape[1])
        return exits.index(1) if 1 in exits else None

    @cached_property
    def key(self) -> AnswerKey:
        """Which choices are true."""
        return AnswerKey.of(self.data)

    @property
    def groups(self) -> list[str]:
        """The group of each question."""
        return [question.group for question in self.data.items]

    def by_question(self, values: Floats) -> Floats:
        """Return values of choices (C, ...) as (..., n, K), with -inf where a question has fewer than K choices."""
        out = np.full((*values.shape[1:], *self.key.exists.shape), -np.inf)
        out[..., self.key.exists] = np.moveaxis(values, 0, -1)
        return out

    def scores(self, method: str, *, bare: bool = False) -> Floats:
        """Return the score of every choice at every exit, (P, n, K); without the question if `bare`.

        `minus_answer` would be 0 without the question, so its control is the log-likelihood of the choice alone.
        """
        values = self.bare if bare else self.after
        size = {"per_character": self.characters, "per_byte": self.bytes, "per_token": self.tokens}.get(method)
        if size is not None:
            values = values / size[:, None]
        elif method == MINUS_ANSWER and not bare:
            values = values - self.bare
        return self.by_question(values)

    def rule_scores(self, rule: Rule) -> Floats:
        """Return the score that a rule gives every choice, (n, K).

        The rule of the most frequent answer counts how often a choice ("yes", "invalid") is true in other groups.
        """
        if rule is Rule.MOST_FREQUENT_ANSWER:
            return self.by_question(self._frequency_elsewhere())
        sizes = {
            Rule.FEWEST_TOKENS: -self.tokens,
            Rule.FEWEST_BYTES: -self.bytes,
            Rule.MOST_BYTES: self.bytes,
        }
        return self.by_question(sizes[rule])

    def _frequency_elsewhere(self) -> Floats:
        """Return how often each choice is the true answer to a question of another group, (C,)."""
        everywhere = Counter(q.truth for q in self.data.items)
        in_group = Counter((q.group, q.truth) for q in self.data.items)
        return np.array([float(everywhere[c] - in_group[q.group, c]) for q in self.data.items for c in q.choices])
