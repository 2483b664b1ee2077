"""The effect of an intervention on a segment and on its controls, over passages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import mean_interval
from layeratlas.stats.resampling import Resampler

_NAN = float("nan")


class MeanInterval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float = _NAN
    lo: float = _NAN
    hi: float = _NAN

    def columns(self, name: str, *, bare: bool = False) -> dict[str, float]:
        """Return the columns `name`, `name_lo`, `name_hi` of a table; `lo` and `hi` if `bare`."""
        lo, hi = ("lo", "hi") if bare else (f"{name}_lo", f"{name}_hi")
        return {name: self.mean, lo: self.lo, hi: self.hi}


UNKNOWN = MeanInterval()


@dataclass(frozen=True, kw_only=True)
class SiteEffect:
    """The effect of one intervention on one segment: means over N passages with 95 % bootstrap intervals.

    `control` is the effect on other spans of the same shape, `difference` the segment minus the controls, paired over
    passages; both are NaN if no other span of that shape fits. Intervals are over passages, not over spans: a
    difference means that these spans differ, not that the segment is unusual among all spans.
    """

    estimate: MeanInterval
    control: MeanInterval = UNKNOWN
    difference: MeanInterval = UNKNOWN


def effect_of(values: Floats, controls: Floats, bootstrap: int = 1000, seed: int = 0) -> SiteEffect:
    """Return the effect of values (N,) on the segment and (C, N) on C controls; C may be 0."""
    names = [str(i) for i in range(len(values))]
    weights = Resampler(names, bootstrap, seed, halves=0).weights(names)
    weights = weights / weights.sum(1, keepdims=True)

    def mean(by_passage: Floats) -> MeanInterval:
        means = weights @ by_passage
        lo, hi = mean_interval(means[1:], len(values))
        return MeanInterval(float(means[0]), float(lo), float(hi))

    if not len(controls):
        return SiteEffect(estimate=mean(values))
    control = controls.mean(0)
    return SiteEffect(estimate=mean(values), control=mean(control), difference=mean(values - control))
