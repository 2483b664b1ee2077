"""Exits against random weights on the same questions: a planted gain is found, and none where none is planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.curves import ReferenceKind
from layeratlas.studies.exits.ablation.stage import first_groups
from layeratlas.studies.exits.analysis import analyse
from layeratlas.studies.exits.names import ExitFinding
from layeratlas.studies.exits.random_weights import RandomSet
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.settings import ExitSettings

POINTS, CHOICES = 5, 4


def answered(data: QuestionSet, strength: float, seed: int) -> ScoredSet:
    """Return scores whose first choice, the true one, is ahead by `strength` at every exit."""
    rng = np.random.default_rng(seed)
    after = rng.standard_normal((len(data.items), CHOICES, POINTS))
    after[:, 0] += strength
    sizes = np.ones(len(data.items) * CHOICES)
    return ScoredSet(
        data=data,
        after=after.reshape(-1, POINTS),
        bare=rng.standard_normal((len(sizes), POINTS)),
        tokens=sizes,
        characters=sizes,
        bytes=sizes,
    )


def asked(strength: float, seed: int = 0):
    """Return the curves and the finding of a set of 80 questions, 40 of them asked of random weights at 3 exits."""
    items = tuple(Question(f"q{i}", ("a", "b", "c", "d"), (0,), f"g{i}") for i in range(80))
    data = QuestionSet("set", "facts", items)
    some = answered(first_groups(data, 40), 0.0, seed + 1)
    exits = np.array([0, 2, 4])
    some = dataclasses.replace(some, after=some.after[:, exits], bare=some.bare[:, exits])
    curves, findings = analyse(
        [answered(data, strength, seed)], ExitSettings(), 200, 0, {"set": RandomSet(scored=some, exits=exits)}
    )
    (finding,) = [f for f in findings if f.finding == ExitFinding.RANDOM_WEIGHTS]
    return curves, finding


def test_a_planted_gain_is_found_on_the_questions_of_both():
    curves, finding = asked(3.0)
    assert (finding.verdict, finding.n) == ("supported", 40)
    assert finding.lo < 0.72 < finding.hi  # 0.97 against 0.25
    main = next(c for c in curves if c.task == "all" and c.metric == "accuracy" and c.method == "sum")
    reference = main.references[ReferenceKind.RANDOM_WEIGHTS]
    assert np.isnan(reference.estimate[[1, 3]]).all()
    assert reference.estimate[[0, 2, 4]] == pytest.approx(0.25, abs=0.2)


def test_guesses_are_not_said_to_beat_random_weights():
    assert sum(asked(0.0, seed)[1].verdict == "supported" for seed in range(20)) <= 2
