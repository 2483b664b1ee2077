"""The brittleness of each layer and span of blocks: B = KL / sigma^2 under noise, with checks of its assumptions.

Re-implements the approach described in arXiv 2505.18244; noise, definition and thresholds are ours. Noise is relative
to the size of the stream, so B does not change if the whole stream is rescaled (with absolute noise it would). In the
quadratic regime B is additive: B of a span whose blocks share the variance is the mean of its blocks' B. This is
checked on the segments and on other measured spans.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.resampling import Resampler, Sample, split_draws
from layeratlas.studies.segments.perturbation.contrast import SegmentContrast, segment_contrast
from layeratlas.studies.segments.perturbation.estimate import Estimate
from layeratlas.studies.segments.perturbation.trials import Role, Span, TrialEffects


class Brittleness:
    """All estimates from one model's effects, over the same bootstrap of passages."""

    def __init__(self, effects: TrialEffects, seed: int = 0) -> None:
        self.effects, self.spec = effects, effects.spec
        names = [str(i) for i in range(effects.passages)]
        self._resampler = Resampler(names, self.spec.bootstrap, seed)
        counts = self._resampler.weights(names)
        self._all_weights = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        self._weights = self._all_weights[: 1 + self.spec.bootstrap]

    def mean(self, by_passage: Floats, most: float = np.inf) -> Estimate:
        """Return the mean over passages of values (N, ...); each value is at most `most`."""
        values = np.tensordot(self._weights, by_passage, axes=1)
        return self.estimate(values[0], values[1:], most)

    def sample(self, by_passage: Floats) -> Sample:
        """Return the means over passages of values (N, ...), with draws and halves that are not widened."""
        return split_draws(np.tensordot(self._all_weights, by_passage, axes=1), self._resampler)

    def estimate(self, value: Floats, draws: Floats, most: float = np.inf) -> Estimate:
        """Return an estimate over these passages from a value and its draws."""
        return Estimate(value=value, draws=draws, passages=self.effects.passages, most=most)

    def at_points(self) -> Estimate:
        """Return B at every point, (L+1,) in nats, from noise of the smallest strength."""
        sigma = self.spec.small[0]
        return self.mean(self.effects.by_point(sigma) / sigma**2)

    def of_span(self, span: Span) -> Estimate:
        """Return B of a span as the mean of its blocks' B (by additivity)."""
        points, (start, stop) = self.at_points(), span
        blocks = slice(start + 1, stop + 1)
        return self.estimate(points.value[blocks].mean(), points.draws[:, blocks].mean(1))

    def measured(self, role: Role, span: Span) -> Estimate:
        """Return B of a span from noise in all its blocks at once."""
        sigma = self.spec.small[0]
        return self.mean(self.effects.of(role, span, sigma) / sigma**2)

    def constancy(self) -> Estimate:
        """Return B at the larger of the small strengths over B at the smaller one, as a geometric mean over points.

        Both are measured under the first seed, so the noise is the same.
        """
        low, high = (self.mean(self.effects.by_point(sigma, seed=0) / sigma**2) for sigma in self.spec.small)
        value, draws = np.log(high.value / low.value), np.log(high.draws / low.draws)
        return self.estimate(np.exp(value.mean()), np.exp(draws.mean(1)))

    def ratios(self) -> tuple[Estimate, Estimate]:
        """Return the ratios averaged by `constancy`, at every point (L+1,), and the ratios of every segment (S,)."""
        spans, by_strength = self.effects.segments.values(), []
        for sigma in self.spec.small:
            segments = np.stack([self.effects.of("segment", span, sigma, seed=0) for span in spans], 1)
            both = np.concatenate([self.effects.by_point(sigma, seed=0), segments], 1)
            by_strength.append(self.mean(both / sigma**2))
        small, large = by_strength
        value, draws = large.value / small.value, large.draws / small.draws
        points = self.effects.layers + 1
        return (
            self.estimate(value[:points], draws[:, :points]),
            self.estimate(value[points:], draws[:, points:]),
        )

    def additivity(self) -> Estimate:
        """Return measured B over the mean of the blocks' B, as a geometric mean over segments and random spans."""
        trials = self.effects.trials
        spans = sorted({(trial.role, trial.span) for trial in trials if trial.role in ("segment", "span")})
        pairs = [(self.measured(role, span), self.of_span(span)) for role, span in spans]
        value = np.mean([np.log(measured.value / added.value) for measured, added in pairs])
        draws = np.mean([np.log(measured.draws / added.draws) for measured, added in pairs], axis=0)
        return self.estimate(np.exp(value), np.exp(draws))

    def half(self, role: Role, span: Span) -> Estimate:
        """Return the strength at which half of the top predictions have changed; infinite if none reaches half."""
        sigmas = self.effects.sigmas(role, span)
        flips = [self.effects.of(role, span, sigma, "flips") for sigma in sigmas]
        agreement = self.mean(1 - np.stack(flips, 1), most=1.0)
        value, draws = half_point(sigmas, agreement.value[None])[0], half_point(sigmas, agreement.draws)
        return self.estimate(value, draws)

    def contrast(self, span: Span) -> SegmentContrast:
        """Return the test of a segment's blocks against all other blocks."""
        points = self.at_points()
        return segment_contrast(np.log(points.value[1:]), np.log(points.draws[:, 1:]), span)


def half_point(sigmas: Sequence[float], agreement: Floats) -> Floats:
    """Return the strength at which agreement (..., S) first falls below 1/2, interpolated over log sigma.

    It is the smallest strength if agreement is already below 1/2 there, and infinite if it never is.
    """
    log = np.log(np.asarray(sigmas))
    below = agreement < 0.5
    at = np.maximum(below.argmax(-1), 1)
    after = np.take_along_axis(agreement, at[..., None], -1)[..., 0]
    before = np.take_along_axis(agreement, at[..., None] - 1, -1)[..., 0]
    share = (before - 0.5) / np.where(before > after, before - after, 1.0)
    crossed = np.exp(log[at - 1] + share * (log[at] - log[at - 1]))
    half: Floats = np.where(below[..., 0], sigmas[0], np.where(below.any(-1), crossed, np.inf))
    return half
