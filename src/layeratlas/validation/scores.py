"""Simulated scores of exits with known accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.validation.rate import Check, Count

_EXITS = 6


def interval(groups: int, size: int, truth: float, seed: int) -> tuple[Floats, Floats]:
    """Return the intervals of six exits with accuracy `truth`, lo and hi each (6,); groups have alike questions."""
    rng = np.random.default_rng([seed, groups])
    n, shared = groups * size, 0.3 if size > 1 else 0.0
    items = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i // size}") for i in range(n))
    own = np.sqrt(1 - shared) * rng.standard_normal((n, _EXITS))
    common = np.sqrt(shared) * np.repeat(rng.standard_normal((groups, _EXITS)), size, 0)
    after = np.zeros((n, 2, _EXITS))
    after[:, 0] = scipy.special.ndtri(truth) + own + common
    equal = np.ones(2 * n)
    scored = ScoredSet(
        data=QuestionSet("simulated", "arithmetic", items),
        after=after.reshape(2 * n, _EXITS),
        bare=rng.standard_normal((2 * n, _EXITS)),
        tokens=equal,
        characters=equal,
        bytes=equal,
    )
    sampler = Resampler(scored.groups, 1000, seed, halves=2)
    return next(c for c in set_curves(scored, sampler, strict=False, score="sum") if c.is_main("sum")).interval


def exit_interval(groups: int, size: int, truth: float = 0.75) -> Callable[[int], Count]:
    """Return a simulation that counts the exits whose intervals cover the accuracy `truth`."""

    def simulate(seed: int) -> Count:
        lo, hi = interval(groups, size, truth, seed)
        return Count(int(((lo <= truth) & (truth <= hi)).sum()), _EXITS)

    return simulate


# Numbers of groups, and of questions per group; accuracies of exits.
SHAPES, ACCURACIES = ((8, 10), (13, 10), (40, 5), (200, 1)), (0.75, 0.9, 0.95)

EXIT_CHECKS: Sequence[Check] = tuple(
    Check(
        planted=f"{groups} groups of questions, accuracy {truth:g}",
        finding="exits: interval",
        simulate=exit_interval(groups, size, truth),
        at_least=0.93,
        at_most=0.97,
        weight=3,
    )
    for groups, size in SHAPES
    for truth in ACCURACIES
)
