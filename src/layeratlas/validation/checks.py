"""Verdicts on simulated curves, signals and scores of known truth: what needs no run, one check per line of the table.

`validation.table` simulates whole runs of the hierarchy study; here the functions that give the verdicts are called on
what such runs would hand them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from layeratlas.core.arrays import Floats
from layeratlas.data.questions import Question, QuestionSet
from layeratlas.stats.alternation import alternation
from layeratlas.stats.curves import Curve
from layeratlas.stats.intervals import ALPHA
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.exits.scores import ScoredSet
from layeratlas.studies.exits.set_curves import set_curves
from layeratlas.studies.hierarchy.findings.peaks import peak_findings
from layeratlas.studies.hierarchy.phrasing import Phrasing
from layeratlas.studies.segments.boundaries import two_boundaries
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.perturbation.contrast import segment_contrast
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.sharpness import sharpness
from layeratlas.validation import shapes
from layeratlas.validation.rate import Rate

POINTS = 30
# Correlation of the noise of neighbouring layers.
_PERSISTENCE = 0.7
_SURROGATES = 99


class Count(NamedTuple):
    """Hits among trials."""

    hits: int
    trials: int = 1


@dataclass(frozen=True, kw_only=True)
class Check:
    """A line of the table: what is planted, what is counted in one simulation, and the bounds on its rate.

    `simulate` takes a seed. `cost` divides the number of simulations that is asked for: those of a costly check.
    """

    planted: str
    finding: str
    simulate: Callable[[int], Count]
    at_least: float = 0.0
    at_most: float = 1.0
    cost: int = 1

    def rate(self, runs: int, seed: int = 0) -> Rate:
        """Return the rate over `runs` simulations, or fewer of a costly check."""
        counts = [self.simulate(seed + i) for i in range(max(1, runs // self.cost))]
        return Rate(
            planted=self.planted,
            finding=self.finding,
            hits=sum(count.hits for count in counts),
            trials=sum(count.trials for count in counts),
            at_least=self.at_least,
            at_most=self.at_most,
        )


def layer_noise(rng: np.random.Generator, *shape: int) -> Floats:
    """Return normal noise, correlated along the last axis as neighbouring layers are."""
    noise = rng.standard_normal(shape)
    for layer in range(1, shape[-1]):
        noise[..., layer] = _PERSISTENCE * noise[..., layer - 1] + np.sqrt(1 - _PERSISTENCE**2) * noise[..., layer]
    return noise


def noise_report(seed: int, shuffles: int) -> list[Curve]:
    """Return curves of noise by two probes, three levels each: the real labels are one more shuffle."""
    rng = np.random.default_rng([seed, 5])
    curves = []
    for level in ("item", "relation", "analogy"):
        rows = layer_noise(rng, 1 + shuffles, POINTS)
        for method, count in (("ridge", shuffles), ("svm", max(20, shuffles // 5))):
            values = 0.5 + 0.03 * (rows + 0.5 * rng.standard_normal(rows.shape))
            around = values[0] + 0.01 * rng.standard_normal((200, POINTS))
            curves.append(
                Curve(
                    level=level,
                    task="all",
                    stratum="all",
                    component="resid",
                    method=method,
                    metric="accuracy",
                    estimate=values[0],
                    draws=around,
                    half_a=around,
                    half_b=around[::-1],
                    shuffles=values[1 : 1 + count],
                    chance=0.5,
                    baseline=0.5,
                    n=400,
                    n_groups=100,
                )
            )
    return curves


def _false_peak(shuffles: int) -> Callable[[int], Count]:
    def simulate(seed: int) -> Count:
        findings = peak_findings(noise_report(seed, shuffles), Phrasing())
        return Count(int(any(finding.verdict == "supported" for finding in findings)))

    return simulate


def _hump(centre: float = 0.4, width: float = 0.2) -> Floats:
    depth = np.linspace(0, 1, POINTS)
    hump: Floats = 0.3 * np.exp(-0.5 * ((depth - centre) / width) ** 2)
    return hump


def _no_profile(rng: np.random.Generator, tasks: int) -> Floats:
    return np.zeros((tasks, POINTS))


def _common_hump(rng: np.random.Generator, tasks: int) -> Floats:
    return np.tile(_hump(), (tasks, 1))


def _common_order(rng: np.random.Generator, tasks: int) -> Floats:
    return rng.permutation(_hump()) * rng.uniform(0.3, 1.2, (tasks, 1))


def _turns(rng: np.random.Generator, tasks: int) -> Floats:
    """Return layers that take turns at two halves of the tasks, on humps of each task's own."""
    sign = np.where(np.arange(POINTS) % 2, 1, -1) * rng.permutation(np.resize([-1, 1], tasks))[:, None]
    humps = np.stack([_hump(centre) for centre in rng.uniform(0.15, 0.8, tasks)])
    return humps + 0.06 * sign * np.abs(rng.standard_normal((tasks, POINTS)))


Profile = Callable[[np.random.Generator, int], Floats]


def _turn_verdict(profile: Profile, seed: int, split: int = 0) -> str:
    """Return the verdict on the curves of six tasks over 20 groups of texts, of which `split` draws the halves."""
    rng, halving = np.random.default_rng([seed, 7]), np.random.default_rng([seed, split, 8])
    tasks, groups, halves = 6, 20, 200
    texts = profile(rng, tasks) + 0.03 * np.sqrt(groups) * layer_noise(rng, groups, tasks, POINTS)
    first = np.argsort(halving.random((halves, groups)), 1) < groups // 2
    half_a, half_b = (np.einsum("hg,gtp->htp", part, texts) / (groups // 2) for part in (first, ~first))
    return alternation(half_a, half_b, split).verdict()


def _turn_rate(profile: Profile, verdict: str) -> Callable[[int], Count]:
    return lambda seed: Count(int(_turn_verdict(profile, seed) == verdict))


def _turns_agree(seed: int) -> Count:
    """Count the verdicts of ten ways of halving that are those of most."""
    verdicts = [_turn_verdict(_turns, seed, split) for split in range(10)]
    return Count(max(verdicts.count(verdict) for verdict in set(verdicts)), len(verdicts))


def _boundaries_claimed(signals: Floats, seed: int) -> bool:
    """Return whether two boundaries are claimed; surrogates are left out where the sharpness, a part of p, forbids."""
    boundaries, _ = two_boundaries(signals, shapes.GROUPS)
    if max(sharp.p for sharp in sharpness(signals, boundaries)) > ALPHA:
        return False
    return existence_test(signals, shapes.GROUPS, seed, _SURROGATES).p <= ALPHA


def _smooth_shape(layers: int) -> Callable[[int], Count]:
    """Return a simulation of one smooth shape, drawn anew, with 1, 5 or 20 % noise."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([layers, seed])
        kind, noise = str(rng.choice(shapes.SMOOTH)), float(rng.choice([0.01, 0.05, 0.2]))
        return Count(int(_boundaries_claimed(shapes.signals(kind, layers, rng, noise), seed)))

    return simulate


def _two_steps(layers: int, noise: float) -> Callable[[int], Count]:
    """Return a simulation of two steps, with a jump of the first or the last block or without one."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([layers, seed, 3])
        jump = (None, 0, -1)[seed % 3]
        return Count(int(_boundaries_claimed(shapes.signals("steps", layers, rng, noise, jump), seed)))

    return simulate


def _brittle_interval(passages: int, spread: float) -> Callable[[int], Count]:
    """Return a simulation of whether the interval of B holds its mean over log-normal passages."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([passages, seed])
        by_passage = np.exp(spread * rng.standard_normal(passages))
        weights = rng.multinomial(passages, np.full(passages, 1 / passages), 400) / passages
        estimate = Estimate(value=np.asarray(by_passage.mean()), draws=weights @ by_passage, passages=passages)
        _, lo, hi = estimate.numbers
        return Count(int(lo <= np.exp(spread**2 / 2) <= hi))

    return simulate


def _special_segment(layers: int, times: float) -> Callable[[int], Count]:
    """Return a simulation of whether a segment whose blocks are so many times as brittle is called special."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([layers, seed, 11])
        start, stop = ((0, layers // 3), (layers // 3, 3 * layers // 4), (layers // 6, layers // 3))[seed % 3]
        log_b = 0.3 * layer_noise(rng, layers)
        log_b[start:stop] += np.log(times)
        contrast = segment_contrast(log_b, log_b + 0.05 * rng.standard_normal((100, layers)), (start, stop))
        return Count(int(3 * contrast.p <= ALPHA))  # corrected over three segments

    return simulate


def _exit_interval(groups: int, size: int) -> Callable[[int], Count]:
    """Return a simulation of how many exits' intervals hold the true accuracy, 0.75; a group's questions are alike."""
    exits, truth, shared = 6, 0.75, 0.3 if size > 1 else 0.0

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([seed, groups])
        n = groups * size
        items = tuple(Question(f"q{i}", ("a", "b"), (0,), f"g{i // size}") for i in range(n))
        own = np.sqrt(1 - shared) * rng.standard_normal((n, exits))
        common = np.sqrt(shared) * np.repeat(rng.standard_normal((groups, exits)), size, 0)
        after = np.zeros((n, 2, exits))
        after[:, 0] = ndtri(truth) + own + common
        equal = np.ones(2 * n)
        scored = ScoredSet(
            data=QuestionSet("simulated", "arithmetic", items),
            after=after.reshape(2 * n, exits),
            bare=rng.standard_normal((2 * n, exits)),
            tokens=equal,
            characters=equal,
            bytes=equal,
        )
        sampler = Resampler(scored.groups, 400, seed, halves=2)
        curve = next(c for c in set_curves(scored, sampler, strict=False, score="sum") if c.is_main("sum"))
        lo, hi = curve.interval
        return Count(int(((lo <= truth) & (truth <= hi)).sum()), exits)

    return simulate


_TURN = "coordination"
CHECKS: Sequence[Check] = (
    *(
        Check(planted=f"noise, {n} shuffles", finding="any peak of two probes", simulate=_false_peak(n), at_most=0.05)
        for n in (20, 40, 100, 200)
    ),
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
        cost=10,
    ),
    *(
        Check(
            planted=f"smooth shapes, {layers} layers",
            finding="existence of boundaries",
            simulate=_smooth_shape(layers),
            at_most=0.07,
        )
        for layers in (12, 16, 30, 80)
    ),
    *(
        Check(
            planted=f"two steps, {layers} layers, {noise:.0%} noise",
            finding="existence of boundaries",
            simulate=_two_steps(layers, noise),
            at_least=0.9,
            cost=2,
        )
        for layers in (16, 30, 80)
        for noise in (0.05, 0.2)
    ),
    *(
        Check(
            planted=f"{passages} passages, log-sd {spread:g}",
            finding="brittleness: interval",
            simulate=_brittle_interval(passages, spread),
            at_least=0.93,
            at_most=0.97,
        )
        for passages in (8, 13, 40)
        for spread in (0.2, 0.5)
    ),
    *(
        Check(
            planted=f"threefold, {layers} layers",
            finding="segment is special",
            simulate=_special_segment(layers, 3.0),
            at_least=0.8,
        )
        for layers in (24, 48)
    ),
    Check(
        planted="no difference, 24 layers",
        finding="segment is special",
        simulate=_special_segment(24, 1.0),
        at_most=0.05,
    ),
    *(
        Check(
            planted=f"{groups} groups of questions",
            finding="exits: interval",
            simulate=_exit_interval(groups, size),
            at_least=0.93,
            at_most=0.97,
        )
        for groups, size in ((8, 10), (13, 10), (40, 5), (200, 1))
    ),
)


def check_rate(number: int, runs: int, seed: int) -> Rate:
    """Return the rate of one check."""
    return CHECKS[number].rate(runs, seed)
