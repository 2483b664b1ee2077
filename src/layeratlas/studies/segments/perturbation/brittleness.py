"""How brittle each layer and each span of blocks is: B = KL / sigma^2 under noise, with its checks.

Re-implements the approach described in arXiv 2505.18244; noise, definition and thresholds are ours. Noise is relative
to the stream, so B does not change when the whole stream is rescaled (with absolute noise it would). In the quadratic
regime B is additive: B of a span whose blocks share the variance is the mean of its blocks' B. This gives B of every
span from single blocks, and is checked on spans that are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.segments.perturbation.trials import Role, Span, TrialEffects


@dataclass(frozen=True)
class Estimate:
    """A number (or an array of them) over passages, with its bootstrap draws on the first axis."""

    value: Floats
    draws: Floats

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % percentile interval, of order statistics, since draws may be infinite."""
        draws = np.sort(self.draws, axis=0)
        out = int(0.025 * len(draws))
        return draws[out], draws[-1 - out]

    @property
    def numbers(self) -> tuple[float, float, float]:
        """Value, lower and upper end of a single number."""
        lo, hi = self.interval
        return float(self.value), float(lo), float(hi)


@dataclass(frozen=True, kw_only=True)
class SpanTest:
    """A segment's B against all spans of its width: the p-value and the number of spans, the segment among them."""

    p: float
    spans: int


class Brittleness:
    """Every estimate of one model's effects, over the same bootstrap of passages."""

    def __init__(self, effects: TrialEffects, seed: int = 0) -> None:
        self.effects, self.spec = effects, effects.spec
        names = [str(i) for i in range(effects.passages)]
        counts = Resampler(names, self.spec.bootstrap, seed, halves=0).weights(names)
        self._weights = counts / counts.sum(1, keepdims=True)

    def mean(self, by_passage: Floats) -> Estimate:
        """Return the mean over passages of (N, ...) values."""
        values = np.tensordot(self._weights, by_passage, axes=1)
        return Estimate(values[0], values[1:])

    def at_points(self) -> Estimate:
        """Return B at every point, (L+1,), in nats, from noise of the smallest strength."""
        sigma = self.spec.small[0]
        return self.mean(self.effects.by_point(sigma) / sigma**2)

    def of_span(self, span: Span) -> Estimate:
        """Return B of a span from its blocks' own B: the mean, by additivity."""
        points, (start, stop) = self.at_points(), span
        return Estimate(points.value[start + 1 : stop + 1].mean(), points.draws[:, start + 1 : stop + 1].mean(1))

    def measured(self, role: Role, span: Span) -> Estimate:
        """Return B of a span from noise in all its blocks at once."""
        sigma = self.spec.small[0]
        return self.mean(self.effects.of(role, span, sigma) / sigma**2)

    def constancy(self) -> Estimate:
        """Return B at the larger over B at the smaller of the small strengths, geometric mean over points.

        Both under the first seed, so that the noise is the same.
        """
        low, high = (self.mean(self.effects.by_point(sigma, seed=0) / sigma**2) for sigma in self.spec.small)
        value, draws = np.log(high.value / low.value), np.log(high.draws / low.draws)
        return Estimate(np.exp(value.mean()), np.exp(draws.mean(1)))

    def ratios(self) -> tuple[Floats, Floats]:
        """Return the ratios that `constancy` averages, at every point (L+1,), and those of every segment (S,)."""
        spans, by_strength = self.effects.segments.values(), []
        for sigma in self.spec.small:
            segments = np.stack([self.effects.of("segment", span, sigma, seed=0) for span in spans], 1)
            both = np.concatenate([self.effects.by_point(sigma, seed=0), segments], 1)
            by_strength.append(self.mean(both / sigma**2).value)
        ratio = by_strength[1] / by_strength[0]
        points = self.effects.layers + 1
        return ratio[:points], ratio[points:]

    def additivity(self) -> Estimate:
        """Return measured B over the mean of the blocks' B, geometric mean over segments and random spans."""
        trials = self.effects.trials
        spans = sorted({(trial.role, trial.span) for trial in trials if trial.role in ("segment", "span")})
        pairs = [(self.measured(role, span), self.of_span(span)) for role, span in spans]
        value = np.mean([np.log(measured.value / added.value) for measured, added in pairs])
        draws = np.mean([np.log(measured.draws / added.draws) for measured, added in pairs], axis=0)
        return Estimate(np.exp(value), np.exp(draws))

    def half(self, role: Role, span: Span) -> Estimate:
        """Return the strength at which half of the top predictions have changed; infinite if none reaches that."""
        sigmas = self.effects.sigmas(role, span)
        flips = [self.effects.of(role, span, sigma, "flips") for sigma in sigmas]
        agreement = self.mean(1 - np.stack(flips, 1))
        return Estimate(half_point(sigmas, agreement.value[None])[0], half_point(sigmas, agreement.draws))

    def span_test(self, span: Span) -> SpanTest:
        """Return the test of a segment's B against all spans of its width.

        p is the share of spans whose B is at least as far from their median (in logarithms) as the segment's.
        """
        start, stop = span
        width = stop - start
        log_b = np.log([self.of_span((a, a + width)).value for a in range(self.effects.layers - width + 1)])
        distance = np.abs(log_b - np.median(log_b))
        return SpanTest(p=float((distance >= distance[start] - 1e-12).mean()), spans=len(log_b))


def half_point(sigmas: Sequence[float], agreement: Floats) -> Floats:
    """Return where agreement (..., S) first falls below 1/2, interpolated over log sigma.

    The smallest strength if it is below there already, infinity if it never is.
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
