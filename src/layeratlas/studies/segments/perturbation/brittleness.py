"""How brittle each layer and each stretch of layers is: KL / sigma^2 under noise, with its checks.

Re-implements the approach described in arXiv 2505.18244; noise, definition and thresholds are ours. With noise relative
to the stream, B does not move when the whole stream is scaled, as it does with absolute noise; in the quadratic regime
it is additive, so that B of a span with shared variance is the mean of its blocks' B. The second is used for all spans
at once and checked on some.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from layeratlas.core.arrays import Floats
from layeratlas.stats.resampling import Resampler
from layeratlas.studies.segments.perturbation.trials import Effects


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


class Brittleness:
    """Every estimate of one model's effects, over the same bootstrap of passages."""

    def __init__(self, effects: Effects, seed: int = 0) -> None:
        self.effects, self.spec = effects, effects.spec
        names = [str(i) for i in range(effects.passages)]
        counts = Resampler(names, self.spec.bootstrap, seed, halves=0).weights(names)
        self._weights = counts / counts.sum(1, keepdims=True)

    def mean(self, by_passage: Floats) -> Estimate:
        """Return the mean over passages of (N, ...) values."""
        values = np.tensordot(self._weights, by_passage, axes=1)
        return Estimate(values[0], values[1:])

    def at_points(self, sigma: float | None = None) -> Estimate:
        """Return B at every point, (L+1,), in nats, from noise of that strength (by default the smallest)."""
        sigma = sigma or self.spec.small[0]
        return self.mean(self.effects.by_point(sigma) / sigma**2)

    def of_span(self, start: int, stop: int) -> Estimate:
        """Return B of blocks `start` to `stop` - 1 from their own B: the mean, as additivity has it."""
        points = self.at_points()
        return Estimate(points.value[start + 1 : stop + 1].mean(), points.draws[:, start + 1 : stop + 1].mean(1))

    def measured(self, start: int, stop: int, role: Any = "segment") -> Estimate:
        """Return B of blocks `start` to `stop` - 1 from noise in all of them at once."""
        sigma = self.spec.small[0]
        return self.mean(self.effects.of(role, start, stop, sigma) / sigma**2)

    def constancy(self) -> Estimate:
        """Return B at the larger over B at the smaller of the small strengths, geometric mean over points.

        Both under the first seed, so that noise does not differ.
        """
        low, high = (self.mean(self.effects.by_point(s, seed=0) / s**2) for s in self.spec.small)
        value, draws = (np.log(high.value / low.value), np.log(high.draws / low.draws))
        return Estimate(np.exp(value.mean()), np.exp(draws.mean(1)))

    def ratios(self) -> tuple[Floats, Floats]:
        """Return the ratios that `constancy` averages, of every point (L+1,), and those of every segment (S,)."""
        spans, numbers = self.effects.segments.values(), []
        for s in self.spec.small:
            parts = np.stack([self.effects.of("segment", *span, s, seed=0) for span in spans], 1)
            both = np.concatenate([self.effects.by_point(s, seed=0), parts], 1)
            numbers.append(self.mean(both / s**2).value)
        found = numbers[1] / numbers[0]
        return found[: self.effects.layers + 1], found[self.effects.layers + 1 :]

    def additivity(self) -> Estimate:
        """Return measured over added B, geometric mean over segments and random spans."""
        spans = {(t.role, t.start, t.stop) for t in self.effects.trials if t.role in ("segment", "span")}
        pairs = [(self.measured(a, b, role), self.of_span(a, b)) for role, a, b in sorted(spans)]
        value = np.mean([np.log(m.value / s.value) for m, s in pairs])
        draws = np.mean([np.log(m.draws / s.draws) for m, s in pairs], axis=0)
        return Estimate(np.exp(value), np.exp(draws))

    def half(self, role: Any, start: int, stop: int) -> Estimate:
        """Return the strength at which half of the top predictions have changed; infinite where none does."""
        sigmas = self.effects.sigmas(role, start, stop)
        flips = [self.effects.of(role, start, stop, sigma, "flips") for sigma in sigmas]
        agreed = self.mean(1 - np.stack(flips, 1))
        return Estimate(half_point(sigmas, agreed.value[None])[0], half_point(sigmas, agreed.draws))

    def span_test(self, start: int, stop: int) -> tuple[float, int]:
        """Return p of a segment's B against all contiguous spans of its width, and how many there are.

        The share of spans, itself among them, whose B is as far from their median (in logarithms) or farther.
        """
        width = stop - start
        found = np.log([self.of_span(a, a + width).value for a in range(self.effects.layers - width + 1)])
        far = np.abs(found - np.median(found))
        return float((far >= far[start] - 1e-12).mean()), len(found)


def half_point(sigmas: Sequence[float], agreement: Floats) -> Floats:
    """Return where agreement (..., S) first falls below 1/2, interpolated over log sigma.

    The smallest strength where it is below there already, infinity where it never is.
    """
    log = np.log(np.asarray(sigmas))
    below = agreement < 0.5
    at = np.maximum(below.argmax(-1), 1)
    after = np.take_along_axis(agreement, at[..., None], -1)[..., 0]
    before = np.take_along_axis(agreement, at[..., None] - 1, -1)[..., 0]
    share = (before - 0.5) / np.where(before > after, before - after, 1.0)
    crossed = np.exp(log[at - 1] + share * (log[at] - log[at - 1]))
    found: Floats = np.where(below[..., 0], sigmas[0], np.where(below.any(-1), crossed, np.inf))
    return found


def curve_rows(found: Brittleness) -> list[dict[str, Any]]:
    """Return the rows of `curves.parquet` by layer, without model and study.

    `brittleness` (nats), `sigma at half agreement` and `stream rms` at every point, divergence and agreement at every
    strength, and what leaving out each block does. A divergence of a model from itself, its chance, is 0. A strength
    beyond the largest that was tried is not a number.
    """
    effects, spec = found.effects, found.spec
    points = range(-1, effects.layers)
    rows: list[tuple[str, str, Estimate, float]] = [
        (spec.noise, "brittleness", found.at_points(), 0.0),
        ("none", "stream rms", found.mean(effects.sizes), float("nan")),
        ("skip", "kl", found.mean(effects.by_skip()), 0.0),
        ("skip", "top-1 agreement", found.mean(1 - effects.by_skip("flips")), 1.0),
    ]
    halves = [found.half("point", b, b + 1) for b in points]
    stacked = Estimate(np.array([h.value for h in halves]), np.stack([h.draws for h in halves], 1))
    rows.append((spec.noise, "sigma at half agreement", stacked, float("nan")))
    for sigma in (*spec.small, *spec.large):
        name = f"{spec.noise} {sigma:g}"
        rows.append((name, "kl", found.mean(effects.by_point(sigma)), 0.0))
        rows.append((name, "nll rise", found.mean(effects.by_point(sigma, "nll")), 0.0))
        rows.append((name, "top-1 agreement", found.mean(1 - effects.by_point(sigma, "flips")), 1.0))
    return [row for method, metric, made, chance in rows for row in _rows(found, method, metric, made, chance)]


def _rows(found: Brittleness, method: str, metric: str, made: Estimate, chance: float) -> list[dict[str, Any]]:
    lo, hi = made.interval
    layers, nan = found.effects.layers, float("nan")
    first = layers + 1 - len(made.value)  # a block's row stands at the point after it
    return [
        {
            "level": "brittleness", "task": "every layer", "stratum": "all", "component": "resid", "layer": first + i,
            "depth": (first + i) / layers, "method": method, "metric": metric, "estimate": finite(value),
            "lo": finite(lo[i]), "hi": finite(hi[i]), "chance": chance, "control": nan, "control_lo": nan,
            "control_hi": nan, "baseline": nan, "n": found.effects.passages, "n_groups": found.effects.passages,
        }
        for i, value in enumerate(made.value)
    ]  # fmt: skip


def finite(value: Any) -> float:
    """Return a number, or not a number for infinity, which tables and charts cannot hold."""
    return float(value) if np.isfinite(value) else float("nan")


def segment_rows(found: Brittleness) -> list[dict[str, Any]]:
    """Return a table of the segments: place, stream rms, B with interval, and its variants.

    `b` from noise in all blocks at once, `b_added` the mean of the blocks' own, `b_entry` of the first block alone,
    `b_unshared` with full noise in every block; `p_span` is uncorrected.
    """
    rows = []
    for name, (start, stop) in found.effects.segments.items():
        b, lo, hi = found.measured(start, stop).numbers
        half, half_lo, half_hi = found.half("segment", start, stop).numbers
        p, spans = found.span_test(start, stop)
        rows.append(
            {
                "segment": name, "first": start, "last": stop - 1,
                "rms": float(found.effects.sizes[:, start + 1 : stop + 1].mean()),
                "b": b, "lo": lo, "hi": hi, "b_added": found.of_span(start, stop).numbers[0],
                "b_entry": found.of_span(start, start + 1).numbers[0],
                "b_unshared": found.measured(start, stop, "unshared").numbers[0],
                "sigma_half": finite(half), "sigma_half_lo": finite(half_lo), "sigma_half_hi": finite(half_hi),
                "p_span": p, "spans": spans,
            }
        )  # fmt: skip
    return rows
