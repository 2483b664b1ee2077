"""The bounds of one model at every point, with their draws over passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from layeratlas.core.arrays import Floats
from layeratlas.stats.intervals import percentile_interval, widened
from layeratlas.stats.peaks import cross_read
from layeratlas.stats.refitting import training_draws
from layeratlas.stats.resampling import Resampler, split_draws
from layeratlas.studies.segments.information.decoding import SHARED
from layeratlas.studies.segments.information.stage import TARGETS, Informed, decoder_differences, informations

_BOOTSTRAP, _HALVES = 1000, 200


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Lower bounds in nats at P points for J targets.

    `estimate` (P, J); `draws` (B, P, J) over passages and training; `half_a`, `half_b` (H, P, J) on random halves of
    the passages and on their complements; `control` (P, J), the bounds of the same tokens in another passage.
    """

    estimate: Floats
    draws: Floats
    half_a: Floats
    half_b: Floats
    control: Floats

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The 95 % interval, lo and hi each (P, J)."""
        return percentile_interval(self.draws)

    def most(self, targets: Sequence[str]) -> tuple[float, float]:
        """Return the largest mean bound of some targets over the points, and the lower end of its interval.

        The point is chosen on one half of the passages and read on the other, so the choice does not raise the bound.
        """
        at = [TARGETS.index(target) for target in targets]
        value = cross_read(self.half_a[:, :, at].mean(2), self.half_b[:, :, at].mean(2))
        point = int(self.estimate[:, at].mean(1).argmax())
        lo, _ = percentile_interval(self.draws[:, point, at].mean(1))
        return value, value - float(self.estimate[point, at].mean() - lo)


def bounds_of(informed: Informed, seed: int) -> Bounds:
    """Return the bounds with draws over passages and over what the decoders trained on; models of one run share both.

    The draws of a difference of layers, of targets or of models therefore have the width of that difference.
    """
    names = [str(number) for number in range(int(informed.passages.max()) + 1)]
    sampler = Resampler(names, _BOOTSTRAP, seed, halves=_HALVES)
    own, control = informations(informed, sampler.weights(names))
    sample = split_draws(own, sampler)
    # Resampled labels have lower entropy on average, so the draws are centred on the estimate.
    centred = sample.draws - sample.draws.mean(0) + sample.estimate
    trained = training_draws(SHARED**0.5 * decoder_differences(informed), _BOOTSTRAP, seed)
    return Bounds(
        estimate=sample.estimate,
        draws=widened(sample.estimate, centred + trained, len(names), times=1.0),
        half_a=sample.half_a,
        half_b=sample.half_b,
        control=control[0],
    )


def information_table(trained: Bounds, random: Bounds | None, passages: int) -> pl.DataFrame:
    """Return one row per point and target: the bound in nats with its interval, the control and random weights."""
    lo, hi = trained.interval
    rows = [
        {
            "layer": point,
            "depth": point / (len(trained.estimate) - 1),
            "target": target,
            "nats": trained.estimate[point, j],
            "lo": lo[point, j],
            "hi": hi[point, j],
            "control": trained.control[point, j],
            "random_weights": float("nan") if random is None else random.estimate[point, j],
            "n": passages,
        }
        for j, target in enumerate(TARGETS)
        for point in range(len(trained.estimate))
    ]
    return pl.DataFrame(rows)
