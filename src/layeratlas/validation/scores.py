"""Simulated scores of exits of known accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy

from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.validation.rate import Check, Count


def exit_interval(groups: int, size: int, truth: float = 0.75) -> Callable[[int], Count]:
    """Return a simulation of how many exits' intervals hold the accuracy `truth`; a group's questions are alike."""
    exits, shared = 6, 0.3 if size > 1 else 0.0

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([seed, groups])
        n = groups * size
        items = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i // size}") for i in range(n))
        own = np.sqrt(1 - shared) * rng.standard_normal((n, exits))
        common = np.sqrt(shared) * np.repeat(rng.standard_normal((groups, exits)), size, 0)
        after = np.zeros((n, 2, exits))
        after[:, 0] = scipy.special.ndtri(truth) + own + common
        equal = np.ones(2 * n)
        scored = ScoredSet(
            data=QuestionSet("simulated", "arithmetic", items),
            after=after.reshape(2 * n, exits),
            bare=rng.standard_normal((2 * n, exits)),
            tokens=equal,
            characters=equal,
            bytes=equal,
        )
        sampler = Resampler(scored.groups, 1000, seed, halves=2)
        curve = next(c for c in set_curves(scored, sampler, strict=False, score="sum") if c.is_main("sum"))
        lo, hi = curve.interval
        return Count(int(((lo <= truth) & (truth <= hi)).sum()), exits)

    return simulate


# Groups of questions, and questions of a group.
_SHAPES = ((8, 10), (13, 10), (40, 5), (200, 1))

EXIT_CHECKS: Sequence[Check] = tuple(
    Check(
        planted=f"{groups} groups of questions, accuracy {truth:g}",
        finding="exits: interval",
        simulate=exit_interval(groups, size, truth),
        at_least=0.93,
        at_most=0.97,
        weight=3,
    )
    for groups, size in _SHAPES
    for truth in (0.75, 0.9)
)
