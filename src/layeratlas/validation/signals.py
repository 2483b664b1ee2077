"""Simulated signals of segments: smooth shapes and steps over depth, and brittleness by block and by passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import ALPHA
from layeratlas.studies.segments.boundaries import two_boundaries
from layeratlas.studies.segments.existence import existence_test
from layeratlas.studies.segments.perturbation.contrast import segment_contrast
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.sharpness import sharpness
from layeratlas.validation import shapes
from layeratlas.validation.noise import layer_noise
from layeratlas.validation.rate import Check, Count

_SURROGATES = 99


def _boundaries_claimed(signals: Floats, seed: int) -> bool:
    """Return whether two boundaries are claimed; surrogates are skipped if the sharpness test already fails."""
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
    """Return a simulation of whether the interval of B covers its mean over log-normal passages."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([passages, seed])
        by_passage = np.exp(spread * rng.standard_normal(passages))
        weights = rng.multinomial(passages, np.full(passages, 1 / passages), 400) / passages
        estimate = Estimate(value=np.asarray(by_passage.mean()), draws=weights @ by_passage, passages=passages)
        _, lo, hi = estimate.numbers
        return Count(int(lo <= np.exp(spread**2 / 2) <= hi))

    return simulate


def _special_segment(layers: int, times: float) -> Callable[[int], Count]:
    """Return a simulation of whether a segment is called special if its blocks are `times` times as brittle."""

    def simulate(seed: int) -> Count:
        rng = np.random.default_rng([layers, seed, 11])
        start, stop = ((0, layers // 3), (layers // 3, 3 * layers // 4), (layers // 6, layers // 3))[seed % 3]
        log_b = 0.3 * layer_noise(rng, layers)
        log_b[start:stop] += np.log(times)
        contrast = segment_contrast(log_b, log_b + 0.05 * rng.standard_normal((100, layers)), (start, stop))
        return Count(int(3 * contrast.p <= ALPHA))  # Bonferroni over three segments

    return simulate


SEGMENT_CHECKS: Sequence[Check] = (
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
            weight=0.5,
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
            weight=20,
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
)
