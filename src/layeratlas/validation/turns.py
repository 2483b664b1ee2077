"""Simulated specialisations of layers: alternating ones, and ones that all tasks share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.alternation import alternation
from layeratlas.validation.noise import POINTS, layer_noise
from layeratlas.validation.rate import Check, Count


def _hump(centre: float = 0.4, width: float = 0.2) -> Floats:
    depth = np.linspace(0, 1, POINTS)
    hump: Floats = 0.3 * np.exp(-0.5 * ((depth - centre) / width) ** 2)
    return hump


def _no_profile(rng: np.random.Generator, tasks: int) -> Floats:
    return np.zeros((tasks, POINTS))


def _common_hump(rng: np.random.Generator, tasks: int) -> Floats:
    return np.tile(_hump(), (tasks, 1))


def _common_order(rng: np.random.Generator, tasks: int) -> Floats:
    profiles: Floats = rng.permutation(_hump()) * rng.uniform(0.3, 1.2, (tasks, 1))
    return profiles


def _turns(rng: np.random.Generator, tasks: int) -> Floats:
    """Return curves whose layers alternate between two halves of the tasks, on a different hump for each task."""
    sign = np.where(np.arange(POINTS) % 2, 1, -1) * rng.permutation(np.resize([-1, 1], tasks))[:, None]
    humps = np.stack([_hump(centre) for centre in rng.uniform(0.15, 0.8, tasks)])
    profiles: Floats = humps + 0.06 * sign * np.abs(rng.standard_normal((tasks, POINTS)))
    return profiles


Profile = Callable[[np.random.Generator, int], Floats]


def _turn_verdict(profile: Profile, seed: int, split: int = 0) -> str:
    """Return the verdict on the curves of six tasks over 20 groups of texts; `split` is the seed of the halves."""
    rng, halving = np.random.default_rng([seed, 7]), np.random.default_rng([seed, split, 8])
    tasks, groups, halves = 6, 20, 200
    texts = profile(rng, tasks) + 0.03 * np.sqrt(groups) * layer_noise(rng, groups, tasks, POINTS)
    first = np.argsort(halving.random((halves, groups)), 1) < groups // 2
    half_a, half_b = (np.einsum("hg,gtp->htp", part, texts) / (groups // 2) for part in (first, ~first))
    return alternation(half_a, half_b, split).verdict()


def _turn_rate(profile: Profile, verdict: str) -> Callable[[int], Count]:
    return lambda seed: Count(int(_turn_verdict(profile, seed) == verdict))


def _turns_agree(seed: int) -> Count:
    """Count how many of ten random splits into halves give the majority verdict."""
    verdicts = [_turn_verdict(_turns, seed, split) for split in range(10)]
    return Count(max(verdicts.count(verdict) for verdict in set(verdicts)), len(verdicts))


_TURN = "coordination"
TURN_CHECKS: Sequence[Check] = (
    *(
        Check(planted=planted, finding=f"{_TURN}: {name}", simulate=_turn_rate(profile, verdict), at_most=0.05)
        for planted, profile in (
            ("noise of the texts", _no_profile),
            ("one hump for all tasks", _common_hump),
            ("one order for all tasks", _common_order),
        )
        for name, verdict in (("turns", "supported"), ("alike", "not supported"))
    ),
    Check(
        planted="layers that take turns",
        finding=f"{_TURN}: turns",
        simulate=_turn_rate(_turns, "supported"),
        at_least=0.9,
    ),
    Check(
        planted="layers that take turns",
        finding=f"{_TURN}: same verdict",
        simulate=_turns_agree,
        at_least=0.9,
        weight=0.1,
    ),
)
